from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    label = "approvals"
    verbose_name = "Approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A release says whom it waits for and when what it asks has changed; only this app, which stands above, knows who may decide and who has."""
        from approvals.cases import deciders
        from approvals.delegations import pairs_in_process, stands_in_for
        from approvals.staling import packet_changed
        from releases.rebinding import watch
        from releases.standins import provide
        from releases.waiting import provide_deciders

        provide_deciders(deciders)
        watch(packet_changed)
        provide(stands_in_for, pairs_in_process)
