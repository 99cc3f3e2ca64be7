"""Asking over HTTP: an application's health, Prometheus and Alertmanager. One request, one answer, one deadline."""
