"""Try a version on a share of the requests before it becomes the default: the rule, what is counted, the verdict."""
