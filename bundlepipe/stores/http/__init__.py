"""HTTP: connections, proxies, retries, and what is told of them."""
