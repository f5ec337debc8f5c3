"""A comparison of policies as tables, pages and charts."""
