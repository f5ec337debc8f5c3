"""What a report means: findings, reasons, history, comparisons. Free of torch."""
