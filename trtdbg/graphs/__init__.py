"""What stages share about FX graphs: words, copies, splits, inference, replay."""
