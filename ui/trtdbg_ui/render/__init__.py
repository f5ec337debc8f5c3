"""Pure functions from records to toned text; no Textual, no state."""
