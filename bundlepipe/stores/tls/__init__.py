"""TLS: trusted certificates, detection of TLS, and error messages."""
