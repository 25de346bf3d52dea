"""The probe: looks at a URL from outside, and on the gateway's own machine, and writes what it saw as Attempts."""
