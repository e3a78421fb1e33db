"""Who trains, who validates, who is tested; copies and leaks between them."""
