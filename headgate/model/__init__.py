"""The waist of the hourglass: the record that every witness writes and every renderer reads. Imports nothing of ours."""
