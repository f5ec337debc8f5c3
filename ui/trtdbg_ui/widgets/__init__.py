"""Widgets, one per file: each shows what the app's state says and posts what the user did."""
