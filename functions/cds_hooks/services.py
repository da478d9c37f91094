"""Which services an EHR is offered: one for each group of models and each hook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_adapter.cds_hooks import ServiceDescription, templates
from fhir_adapter.cds_hooks.prefetch import CONDITIONS, ENCOUNTER, OBSERVATIONS, PATIENT
from fhir_adapter.tenants import Tenant
from functions.cds_hooks.words import Words, words_for
from functions.serving.package import Model

__all__ = ["Offer", "Service"]


@dataclass(frozen=True)
class Service:
    """One service.

    Parameters
    ----------
    id : str
        ``{group}-{hook}``.
    hook : str
    models : tuple of Model
        With the tenant's local codes beside the declared ones.
    templates : mapping of str to str
        Prefetch by key.
    """

    id: str
    hook: str
    models: tuple[Model, ...]
    templates: Mapping[str, str]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Keys of what a prediction is worked out from."""
        return tuple(key for key in (PATIENT, ENCOUNTER, OBSERVATIONS, CONDITIONS) if key in self.templates)

    def described(self, words: Words) -> ServiceDescription:
        """Return what an EHR is told of it."""
        identities = [model.package.identity for model in self.models]
        return ServiceDescription(
            id=self.id,
            hook=self.hook,
            title=words.service_title(self.hook),
            description=words.service_description(self.hook, identities),
            prefetch=self.templates,
            requirements=words.requirements,
        )


class Offer:
    """The services of every tenant, made when it is first asked for and again when its description changes.

    Parameters
    ----------
    models : mapping of str to Model
        What this function can run.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(models)
        self._made: dict[str, tuple[Tenant, dict[str, Service], Words]] = {}

    def of(self, tenant: Tenant) -> tuple[Mapping[str, Service], Words]:
        """Return a tenant's services by id, and its language."""
        kept = self._made.get(tenant.name)
        if kept is None or kept[0] != tenant:
            services = {service.id: service for service in self._services(tenant)}
            kept = self._made[tenant.name] = (tenant, services, words_for(tenant.locale, tenant.zone))
        return kept[1], kept[2]

    def _services(self, tenant: Tenant) -> list[Service]:
        settings = tenant.cds_hooks
        if settings is None:
            return []
        found = []
        for group, names in settings.groups.items():
            models = tuple(self._models[name].localised(tenant.terminology) for name in names if name in self._models)
            for hook in settings.hooks if models else ():
                wanted = hook == "encounter-discharge" or settings.abstentions
                found.append(Service(f"{group}-{hook}", hook, models, _templates(models, answers=wanted)))
        return found


def _templates(models: tuple[Model, ...], *, answers: bool) -> dict[str, str]:
    packages = [model.package for model in models]
    inputs = [item for package in packages for item in package.inputs]
    names = [package.identity.name for package in packages]
    return templates(inputs, [package.applies_if for package in packages], names, answers=answers)
