"""What each benchmark asks, and what a reader of its tables must know; by the name of its script."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A benchmark's title, its question in one sentence, and how its tables are read, a remark a paragraph."""

    title: str
    question: str
    remarks: tuple[str, ...] = ()


QUESTIONS = {
    "unseen": Question(
        "On public sets beside the sample sets",
        "Does who names no recipe lose to linear models or fastText, which choose by the same validation texts?",
    ),
    "accuracy": Question(
        "Accuracy",
        "How accurate is each recipe beside TF-IDF with logistic regression and fastText on the same texts?",
        (
            "All learn from the same training texts, choose their settings and epochs by the validation texts, and "
            "see the test texts once. No recipe is told which set it learns.",
            "Settings are the strength and n-grams of the logistic regression, and of fastText the rate (0.1, 0.3, "
            "1) and the epochs (5, 25, 50), at 16 dimensions with pairs of words over our tokens.",
            "Points are paired differences; intervals are 95 % and draw seeds and texts again.",
        ),
    ),
    "text_in": Question(
        "Text-in",
        "Is a graph that takes raw texts as fast as Python's text code before a graph that takes ids?",
        (
            "Both columns are whole answers by the predictors that a worker has: from texts to dictionaries, in "
            "processor time of one thread. Above 1 text-in is faster. The last tables are of random words.",
        ),
    ),
    "robustness": Question(
        "After export, and on unseen words",
        "Does an exported variant lose accuracy, and what does a trained row for unknown words gain?",
        (
            "Each variant answers the test texts through the code that serves it. In brackets are the texts whose "
            "label differs from the trained model's.",
            "A share of the test tokens is replaced by generated words that no training text has, five times over. "
            "The limit compares one trained model with itself: its row UNK as trained, and standard normal numbers "
            "in its place, as `torch.nn.Embedding` starts a row (five draws a seed). The first interval is over "
            "seeds, the second draws texts again as well.",
        ),
    ),
    "joint": Question(
        "Texts and images: recipe `joint`",
        "Does the recipe find the images of a caption and the captions of an image better than linear methods?",
        (
            "Right is any image, or any caption, of the same digit. Both baselines see the training texts only and "
            "choose their settings by the validation texts. They have no seed: intervals over seeds are of ours.",
        ),
    ),
    "label_errors": Question(
        "Wrong labels",
        "Which classifier tells wrong labels from right ones, and does `lexport diagnose` find as many as cleanlab?",
        (
            "A share of the labels is changed at random. *Found* is the share of them among the first suggestions, "
            "twice as many as were changed; labels that the set had wrong already count as right ones, so that not "
            "all can be found. All judges are asked out of fold, and both rankings read the same probabilities: ours "
            "and cleanlab's normalized margin.",
            "*Suspected* are those that the confident joint names, by `lexport diagnose` and by cleanlab's "
            "`find_label_issues`, with the share of them that were changed.",
        ),
    ),
    "dimension": Question(
        "How wide vectors should be",
        "Which is the smallest width of an embedding that is as good as any other?",
        (
            "Differences are from the width with the lowest validation loss (bold), with 95 % intervals over seeds "
            "and texts. *epochs* is the one that was kept, *seconds* what a fit took, *MiB* what the parameters "
            "take in float32. For `vectors` accuracy is recall@1.",
        ),
    ),
    "inference": Question(
        "Inference",
        "How much faster and smaller are exported variants than `F.embedding_bag` and their own fp32 form?",
        (
            "One thread, processor time, alternating turns; medians of ratios with 95 % intervals. The ids are "
            "drawn evenly, so that nearly every row comes from memory. Ratios between variants differ by some 15 % "
            "from run to run.",
        ),
    ),
    "precision": Question(
        "Fewer bits",
        "How much accuracy do fp16, int8 and int4 tables lose?",
    ),
    "training": Question(
        "Training speed",
        "Does a bag train as fast as fastText on one thread?",
    ),
    "commands": Question(
        "Whole commands",
        "Does `lexport train` take about as long as `fasttext supervised`, from a file to a model on disk?",
        (
            "The rows are made up, so that there are as many as are asked for. Beyond what fastText does our command "
            "drops duplicates, splits the data, warns of what is wrong with them, validates after every epoch, "
            "tests, and keeps the held-out texts. Python with torch takes two seconds and 230 MB to start.",
        ),
    ),
    "vectors": Question(
        "Word vectors",
        "Is the exact search for similar words about as fast as a product, and what do fewer bits and an index keep?",
        (
            "The product multiplies the table in fp32 with one vector and finds nothing. `similar` also looks the "
            "word up, divides by lengths and keeps the ten highest. In int8 it reads a quarter of the bytes and "
            "makes floats of them, a part at a time.",
        ),
    ),
    "memory": Question(
        "Memory",
        "How much memory do four workers with a million words take, and how soon do they answer?",
        (
            "A bag without n-grams with a million words and 300 dimensions: words of GloVe 6B and of the imdb "
            "reviews, and, since no package has a million, frequent pairs of neighbouring words, joined. Rows of "
            "words that training did not meet are random, and take room and time like any others. PSS counts a page "
            "that four processes share as a quarter in each.",
            "Every start is a new process that has imported its engine and finds the files in the page cache. "
            "*digests* is SHA-256 of all files, *pages* reads one byte of each page after the goldens.",
            "Below 50,000 words a model has a dictionary, which the first row of the look-ups shows. Splitting is "
            "included, and each pair looks up texts that were not seen before.",
        ),
    ),
    "serving": Question(
        "Serving",
        "How close does a served model come to a handler that does nothing, and how far is it ahead of a plain one?",
        (
            "One TorchServe has our archives and the no-ops, one worker each. Beside it runs a TorchServe with its "
            "defaults, two workers and a handler as tutorials show it (`benchmarks/plain.py`). A no-op reads nothing "
            "of a request and answers one constant body.",
            "Each round loads every handler once, in changing order; ratios are medians over rounds of the ratio "
            "within a round, with 95 % intervals. *client* is the share of one core that Locust uses. Two cores are "
            "shared by the server, its workers and the client.",
        ),
    ),
    "request_path": Question(
        "The request path",
        "Where does the time of a request in a worker go?",
        (
            "One process reads a batch from a socket, answers it with the archive's handler through TorchServe's own "
            "service, and times the parts of the handler alone. *TorchServe's rest* makes dictionaries of the "
            "request and bytes of the answer.",
        ),
    ),
    "rivals": Question(
        "The same archive behind other servers",
        "How fast is one archive behind lexport's two engines, and its predictor behind other servers?",
        (
            "Each server has one process that computes, and the same predictor with the same thread. The embedded "
            "engine and TorchServe check tokens, count, and log; the others do none of it. `tutorial` is another "
            "model of about the same size, served as TorchServe's tutorials show it.",
            "Each figure is the median of the rounds, with the least and the most in brackets. Server and client "
            "share two cores: what the client takes the server lacks, the fastest of them most.",
            "granian and the embedded engine answer the requests of one turn of the event loop together; mosec, "
            "LitServe and MLServer wait a millisecond for a batch, their least; Triton, BentoML and Ray Serve gather "
            "what waits, without a delay; FastAPI answers one by one, as its pages show it. Triton and MLServer are "
            "asked in the Open Inference Protocol. [What each is and where it is ahead](rivals.md).",
        ),
    ),
    "embedded": Question(
        "The embedded engine's processes and connections",
        "How does the embedded engine scale with its processes, and does a crowd of connections slow others down?",
        (
            "Server and client share two cores, so two processes have less than a core each. Memory is that of all "
            "processes, shared pages divided. Slow connections send a byte every 0.3 s and are answered 408 after "
            "ten seconds; they begin again.",
        ),
    ),
    "ray_cluster": Question(
        "Ray Serve",
        "What does a Ray cluster cost beside the embedded engine, and what do more replicas and nodes give?",
        (
            "HAProxy is what Ray starts with RAY_SERVE_ENABLE_HA_PROXY=1. Processor time is that of all processes of "
            "a kind, by request; the client is the same for all.",
            "Nodes are Ray nodes, each with its raylet, on one machine.",
        ),
    ),
    "mixed": Question(
        "Several models in one server",
        "Do the threads of several models add up to the cores, and does one under load starve the others?",
        (
            "Five models of different kinds and a second version of one are in one server with `--workers cpu`: in "
            "the embedded engine one process has all of them, TorchServe has a worker for each. Server and client "
            "share two cores. Each connection asks again as soon as it has its answer, so a fast model is asked more "
            "often.",
            "A model that waits for one batch of each other one has in the mix about the sum of all p99 alone, "
            "whatever its own is; several times that would be starving. A thread counts as one that computes if it "
            "took 5 % of a core.",
        ),
    ),
    "grpc_calls": Question(
        "The embedded engine over gRPC",
        "What does a call over gRPC cost beside the same request over HTTP?",
        (
            "One process answers and one client asks, again as soon as it has an answer. Both clients are Python's "
            "and share two cores with the server, and with other work while this was measured: requests a second "
            "swing with it. So rounds alternate, ratios are of neighbours, and the processor time of server and "
            "client is beside the rates.",
        ),
    ),
    "http_servers": Question(
        "HTTP servers",
        "Is an HTTP server of our own, on llhttp and uvloop, 1.3 times as fast as a complete one?",
        (
            "A client of this process asks over so many connections, on each as soon as it has its answer. *By "
            "turns*: the requests of one turn of the event loop are answered together. Processor time is the "
            "server's own, whatever else runs on the machine; the best of the rounds is shown.",
        ),
    ),
    "open_loop": Question(
        "Open and closed loops",
        "Does an open loop report the latencies of a server that stands still now and then, and does a closed one?",
        (
            "Planned are the percentiles of requests that come at any time. In the closed loops each user waits out "
            "the stall with one request, and the requests that others would have sent meanwhile are missing.",
            "Of three runs that one counts whose client kept its schedule best; lag is how much later than planned "
            "requests were sent. k6 does not say that: of its runs the one with the lowest median counts.",
        ),
    ),
    "soak": Question(
        "Soak",
        "Does the memory of a loaded server grow?",
        (
            "70 % of the most that 64 users get, after a minute at the same rate; resident memory every two seconds. "
            "The slope is the median of the slopes between all pairs of readings, with a 95 % bootstrap interval "
            "over blocks of half a minute. The heap of the frontend fills and is emptied within the same few MB.",
        ),
    ),
    "tune": Question(
        "Tuning",
        "Does `lexport tune` find settings as good as a full grid's in a quarter of its time, from any start?",
        (
            "Each search has its own budget and sees nothing of the grid. In the comparison each candidate runs with "
            "the fewest users that come within 3 % of its best, of those that the grid tried, in turns. "
            "Ratios are medians over rounds of the ratio within a round, with the interval of the sign test.",
            "Client and server share two cores. *≥*: Locust may have been the limit, so the requests/s are lower "
            "bounds, and ratios of two such candidates compare what is left to Locust.",
        ),
    ),
    "canary": Question(
        "A canary",
        "What does it cost the clients that a share of the requests goes to another version?",
        (
            "One worker, two versions of one model. Each ratio is of cells of one round, with a canary and without. "
            "The embedded engine sends requests to the canary by itself; in front of TorchServe a proxy runs in the "
            "command's process, and takes processor time of the two cores that client and server share.",
        ),
    ),
    "faults": Question(
        "Faults under load",
        "What becomes of requests when a server is stopped, its processes are killed, or connections fill it?",
        (
            "Requests come over keep-alive connections as fast as they are answered. *named error* is JSON with a "
            "status of 400 or more, *lost* a request whose connection broke, *timed out* one without an answer for "
            "10 s. Seconds count from the end of the fault to the first answer, and until the rate is at 80 % of the "
            "rate before.",
        ),
    ),
    "gpu": Question(
        "On a GPU",
        "Does a GPU answer as the CPU does, and from which batch size on is it faster?",
        ("A device overtakes at the smallest batch from which on the 95 % interval of CPU ÷ device is above 1.",),
    ),
}
