"""The four-direction selective scan: one function, several backends."""

from scgcnet.scan.dispatch import BackendError, available_backends, resolve_backend, selective_scan_2d, use_backend

__all__ = ["BackendError", "available_backends", "resolve_backend", "selective_scan_2d", "use_backend"]
