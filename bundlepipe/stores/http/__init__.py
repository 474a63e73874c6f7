"""HTTP: connections, proxies, retries, traces and error messages."""
