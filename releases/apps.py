from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    name = "releases"
    label = "releases"
    verbose_name = "Releases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Publishing asks which connectors there are; only this app, which stands above, knows. A connector waits for signals that are kept here."""
        from processes.surroundings import provide_connectors
        from releases import signals
        from releases.connectors import registry, signal

        provide_connectors(registry.info)
        signal.provide(signals.kept)
