"""The processes on the nodes of a cluster: replicas of models, the front, and the actor with the archives."""
