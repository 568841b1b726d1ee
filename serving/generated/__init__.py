"""Files that run and watch a server in production: systemd, containers, Kubernetes, Prometheus, Grafana."""
