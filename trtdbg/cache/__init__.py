"""Analyses that were made before: what they depend on, where they are kept, who asks first."""
