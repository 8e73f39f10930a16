"""The root as a Django app: it brings the commands."""

from django.apps import AppConfig


class RelorchConfig(AppConfig):
    name = "relorch"
    label = "relorch"
    verbose_name = "relorch"

    def ready(self) -> None:
        """Whoever publishes a task needs the Celery application to be there; a release that does not move asks whether any worker is."""
        from releases.waiting import provide_workers
        from relorch import celery  # noqa: F401
        from relorch.heard import lanes_heard

        provide_workers(lanes_heard)
