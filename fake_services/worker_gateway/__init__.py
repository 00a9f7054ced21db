"""A programmable worker: records what arrives and forwards to the real one when there is one."""

from fake_services.worker_gateway.server import WorkerGateway, WorkerGatewayConfig

__all__ = ["WorkerGateway", "WorkerGatewayConfig"]
