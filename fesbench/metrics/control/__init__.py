"""Does a method do what it was asked, and only that."""
