"""Word vectors that gensim saved: objects of its classes in a pickle, read without gensim and without unpickling."""
