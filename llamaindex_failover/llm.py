"""`FailoverLLM`: several LLMs as one, wherever LlamaIndex takes an `LLM`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.llms import LLM
from llama_index.core.types import PydanticProgramMode

from failover_core import ConfigError, Failover, RequestInfo, Settings
from failover_core.policy.ranking import Policy
from failover_core.settings import SETTING_NAMES

from .instrumentation import install
from .metadata import common_metadata
from .requests import Endpoint, Request, info_of
from .serialization import as_data, from_data, picklable
from .structured import StructuredEndpoints
from .targets import adapter_of, as_targets, default_settings

_NOT_PICKLED = ("callback_manager", "rate_limiter")
_ADOPTED = ("system_prompt", "query_wrapper_prompt", "output_parser", "messages_to_prompt", "completion_to_prompt")


class FailoverLLM(StructuredEndpoints):
    """An LLM that answers as long as one of its targets does.

    Args:
        targets: in order of preference: LlamaIndex LLMs, functions without arguments that make one, native strings
            such as "anthropic:claude-sonnet-4-5", and core `Target`s (native ones, or functions that take the list of
            messages and give a str or a `ChatResponse`). `wrap` gives an LLM a name, a region or other facts.
        settings: the rules; see `failover_core.Settings`.
        policy: "priority", another name or a function of `failover_core.policy.ranking`. None = "priority".
        failover: the `failover` of another `FailoverLLM`, of a `ChatFailover`, or a `Failover`: health is shared by the
            targets' names. Its targets (of a `FailoverLLM`), settings and policy hold where none are given.
        show_attempts: report each attempt as a span of its own to LlamaIndex's instrumentation. By default one call is
            seen, whatever it took.
        kwargs: fields of any LlamaIndex LLM: `system_prompt`, `output_parser`, `callback_manager`, `rate_limiter`, ...
            Prompt settings that are left out are taken from the first target that has them.

    Raises:
        ConfigError: no targets, two of one name, a failover among them, an LLM that cannot work, an argument that
            does not exist.

    Every response carries the way it came in `additional_kwargs["failover"]`; a streamed one, on its last chunk.
    """

    targets: tuple[Any, ...] = Field(default=(), exclude=True, repr=False, description="As they were given.")
    settings: Any = Field(default=None, exclude=True, repr=False, description="The failover_core.Settings in force.")
    policy: Any = Field(default="priority", exclude=True, repr=False, description="How targets are ranked.")
    show_attempts: bool = Field(default=False, description="Report each attempt as a span.")

    _failover: Failover = PrivateAttr()
    _metadata: LLMMetadata = PrivateAttr()
    _wanted: frozenset[str] = PrivateAttr()
    _sized: bool = PrivateAttr()
    _thinking: bool = PrivateAttr()
    _adopted: dict[str, Any] = PrivateAttr()
    _payload: dict[str, Any] = PrivateAttr()

    def __init__(
        self,
        targets: Sequence[Any] = (),
        settings: Settings | None = None,
        policy: str | Policy | None = None,
        failover: Failover | None = None,
        show_attempts: bool = False,
        **kwargs: Any,
    ) -> None:
        self._refuse_unknown(kwargs)
        if failover is None:
            made = as_targets(targets)
            settings = settings if settings is not None else default_settings(made)
            failover = Failover(made, settings, policy if policy is not None else "priority")
        elif targets or settings is not None or policy not in (None, failover.policy):
            made = as_targets(targets or failover.targets)
            policy = policy if policy is not None else failover.policy
            failover = Failover(made, settings or failover.settings, policy, health_of=failover)
        adapters = [adapter_of(target) for target in failover.targets]
        llms = [adapter.llm for adapter in adapters if adapter.llm is not None]
        fields: dict[str, Any] = {
            "targets": tuple(targets) or failover.targets,
            "settings": failover.settings,
            "policy": failover.policy,
            "show_attempts": show_attempts,
        }
        prompting = _prompting_of(llms)
        super().__init__(**fields, **{**prompting, **kwargs})
        self._adopted = {name: getattr(self, name) for name in prompting if name not in kwargs}
        self._failover = failover
        self._metadata = common_metadata(failover.targets)
        alone = len(failover.targets) == 1  # and then it speaks for itself
        self._wanted = frozenset() if alone else frozenset().union(*(target.lacks for target in failover.targets))
        self._sized = not alone and any(target.context_window_tokens is not None for target in failover.targets)
        self._thinking = any(adapter.facts is not None and adapter.facts.thinks for adapter in adapters)
        names = [target.name for target in failover.targets]
        self._payload = {"class_name": self.class_name(), **self._metadata.model_dump(), "targets": names}
        install()

    @classmethod
    def _refuse_unknown(cls, kwargs: Iterable[str]) -> None:
        """LlamaIndex's LLMs pass over what they do not know; a deadline that never holds is worse than an error."""
        for name in kwargs:
            if name in SETTING_NAMES:
                raise ConfigError(f"FailoverLLM({name}=...): this is a setting, write settings=Settings({name}=...)")
            if name not in cls.model_fields:
                near = get_close_matches(name, [*cls.model_fields, "failover"], n=1)
                hint = f", did you mean {near[0]}=?" if near else "; options of the models go to the models themselves"
                raise ConfigError(f"FailoverLLM({name}=...): there is no such argument{hint}")

    @classmethod
    def class_name(cls) -> str:
        return "failover_llm"

    @property
    def failover(self) -> Failover:
        """The `Failover` underneath, with its `health()`, `targets` and `subscribe(listener)`."""
        return self._failover

    @property
    def metadata(self) -> LLMMetadata:
        """What all targets can do. It never changes, since engines and agents read it once."""
        return self._metadata

    def to_payload(self) -> dict[str, Any]:
        """What events tell of this LLM; never a key."""
        return dict(self._payload)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [("targets", [target.name for target in self._failover.targets])]

    @property
    def _is_prompted(self) -> bool:
        return bool(self.system_prompt) or not self._is_adopted("system_prompt")

    def _is_adopted(self, name: str) -> bool:
        """Is a field as the targets have it? Then it need not be told beside them."""
        return name in self._adopted and self._adopted[name] is getattr(self, name)

    def _request(self, endpoint: Endpoint, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        return Request(endpoint, args, kwargs, spans=self.show_attempts)

    def _info(self, request: Request) -> RequestInfo:
        return info_of(request, wanted=self._wanted, sized=self._sized, thinking=self._thinking)

    # -- copies and data --------------------------------------------------------------------------------------

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """This LLM as data, every secret left out; `from_dict` makes an LLM of it again."""
        fields = {name: value for name, value in super().to_dict(**kwargs).items() if not self._is_adopted(name)}
        return {**fields, **as_data(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> FailoverLLM:
        """An LLM out of what `to_dict` gave. Keys come from the environment, as for any LLM that is built without.

        Args:
            data: as `to_dict` gave it.
            kwargs: arguments of `FailoverLLM` that go before it, such as `targets=[...]` for targets that cannot be
                rebuilt from data (functions).

        Raises:
            ConfigError: for a target that cannot be rebuilt and is not given.
        """
        return cls(**{**from_data(data, with_targets="targets" not in kwargs), **kwargs})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its arguments; health starts afresh where it is loaded."""
        return _rebuilt, (type(self), picklable(self._arguments()))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> FailoverLLM:
        """Health is shared by all copies; and most LLMs that have been used could not be copied."""
        return self.model_copy()

    def _arguments(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in type(self).model_fields if not self._is_adopted(name)}
        told["targets"] = self._failover.targets
        kept = {name: value for name, value in told.items() if value is not None and name not in _NOT_PICKLED}
        # None in place of what the targets have was chosen; left out, theirs would be taken again
        return kept | {name: None for name in _ADOPTED if name in told and told[name] is None}


def _rebuilt(cls: type[FailoverLLM], arguments: dict[str, Any]) -> FailoverLLM:
    return cls(**arguments)


def _prompting_of(llms: Sequence[LLM]) -> dict[str, Any]:
    """Prompt settings count only on the LLM that is called, so the ones made on a target are taken over."""
    adopted: dict[str, Any] = {}
    for name in _ADOPTED:
        adopted[name] = next((value for llm in llms if (value := getattr(llm, name)) is not None), None)
    modes = (llm.pydantic_program_mode for llm in llms)
    mode = next((mode for mode in modes if mode is not PydanticProgramMode.DEFAULT), PydanticProgramMode.DEFAULT)
    return {**adopted, "pydantic_program_mode": mode}
