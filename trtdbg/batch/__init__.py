"""Work on many models or policies: rows, executors, journals, reduction. Free of torch."""
