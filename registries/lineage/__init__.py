"""Where data comes from and where it went: runs that record themselves, and questions about them."""
