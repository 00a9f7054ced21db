"""What runs in containers is what is shipped, and takes the way that production takes."""

from __future__ import annotations

from harness import Route, System, scenario


@scenario("NET-SHIPPED-01", requires=["PROD-01"], topology="containers")
def test_what_runs_is_what_is_shipped(prod: System) -> None:
    """The image runs unchanged; beside its configuration it is told whom to trust, and where the metadata server is."""
    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    prod.must_run_what_is_shipped("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "GCE_METADATA_IP")


@scenario("NET-SHIPPED-02", requires=["PROD-01", "PROD-12"], topology="containers")
def test_a_token_of_the_metadata_server_opens_cloud_tasks(prod: System) -> None:
    """The client asks the metadata server for a token, and Cloud Tasks takes no call without one from there."""
    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    prod.must_have_asked("metadata", "/computeMetadata/v1/instance/service-accounts/default/token")
    prod.must_have_asked("name_server", "cloudtasks.googleapis.com")
