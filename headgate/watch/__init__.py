"""The watch: looks at a site until it is back, or for good, and reports changes of cause only."""
