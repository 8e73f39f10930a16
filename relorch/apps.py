"""The root as a Django app: it brings the commands."""

from django.apps import AppConfig


class RelorchConfig(AppConfig):
    name = "relorch"
    label = "relorch"
    verbose_name = "relorch"

    def ready(self) -> None:
        """Whoever publishes a task needs the Celery application to be there."""
        from relorch import celery  # noqa: F401
