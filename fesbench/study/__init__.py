"""A human study of a run's images: pages for raters, their answers, and what these say."""
