"""What SQL has beyond tables: views, macros, saved views, and ways out to DuckDB itself."""
