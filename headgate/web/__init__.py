"""Pages for people who would rather look than read: one file each, drawn from the same document as --json."""
