"""What people see of word vectors: tables, maps as pages and pictures, files for a projector."""
