"""How a store's tables came to be, step by step. Run from code when a store is opened; nobody calls Alembic by hand."""
