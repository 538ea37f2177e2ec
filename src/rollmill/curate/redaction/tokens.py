"""Tokens that say whose they are: a provider's prefix, and a body of a known alphabet and length.

One line for each, from the providers' own descriptions of their formats. The literal before the body is what the
pre-filter looks for.
"""

from __future__ import annotations

import re

from rollmill.curate.redaction.finding import Check, Finding, Rule
from rollmill.curate.redaction.shapes import is_token_stand_in

# Nothing that could be part of it: or the end of an escape, of a string's (\n) or of a terminal's (ESC[31m).
_BEFORE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=[0-9;\[]m))"
_B64 = r"[A-Za-z0-9_-]"
_AN = r"[A-Za-z0-9]"
_HEX = r"[0-9a-f]"

_TABLE: tuple[tuple[str, str, str], ...] = (
    # kind, the literals (with spaces between), what follows the literal
    ("anthropic_key", "sk-ant-", rf"(?:api|admin|oat|ort|sid)\d\d-{_B64}{{20,400}}"),
    ("openrouter_key", "sk-or-", rf"v1-{_HEX}{{32,128}}"),
    ("openai_key", "sk-", rf"(?!ant-|or-v|lf-){_B64}{{20,400}}"),
    ("langfuse_key", "sk-lf-", r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),
    ("google_api_key", "AIza", rf"{_B64}{{35}}(?!{_B64})"),
    ("google_oauth_token", "ya29.", r"[A-Za-z0-9_.-]{30,1000}"),
    ("google_oauth_secret", "GOCSPX-", rf"{_B64}{{28}}"),
    ("aws_access_key", "AKIA ASIA ABIA ACCA", r"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"{_AN}{{36,255}}"),
    ("github_token", "github_pat_", rf"{_AN}{{22}}_{_AN}{{59}}"),
    (
        "gitlab_token",
        "glpat- gldt- glrt- glptt- glcbt- glimt- glsoat- gloas-",
        rf"{_B64}{{20,300}}(?:\.[0-9a-z]{{2}}\.[0-9a-z]{{9}})?",
    ),
    ("slack_token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xoxe.xox", r"[A-Za-z0-9.-]{20,300}"),
    ("slack_token", "xapp-", r"\d-[A-Z0-9]+-\d+-[0-9a-f]{32,128}"),
    ("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_ sk_org_", rf"{_AN}{{16,247}}"),
    ("stripe_webhook_secret", "whsec_", r"[A-Za-z0-9+/=]{24,128}"),
    ("huggingface_token", "hf_", rf"{_AN}{{34,40}}(?!{_AN})"),
    ("huggingface_token", "api_org_", rf"{_AN}{{34}}(?!{_AN})"),
    ("npm_token", "npm_", rf"{_AN}{{36}}(?!{_AN})"),
    ("pypi_token", "pypi-", rf"AgE{_B64}{{50,1000}}"),
    ("azure_key", "AccountKey= SharedAccessKey= accountkey=", r"[A-Za-z0-9+/]{40,120}={0,2}"),
    ("digitalocean_token", "dop_v1_ doo_v1_ dor_v1_", rf"{_HEX}{{64}}"),
    ("sendgrid_key", "SG.", rf"{_B64}{{20,24}}\.{_B64}{{39,50}}"),
    ("twilio_key", "SK", rf"{_HEX}{{32}}(?!{_AN})"),
    (
        "jwt",
        "eyJ",
        rf"{_B64}{{10,4000}}\.(?:eyJ{_B64}{{8,8000}}|{_B64}{{0,800}}\.{_B64}{{10,200}}\.{_B64}{{10,20000}})\.{_B64}{{10,2000}}",
    ),
    ("groq_key", "gsk_", rf"{_AN}{{48,56}}"),
    ("xai_key", "xai-", rf"{_AN}{{60,100}}"),
    ("replicate_token", "r8_", rf"{_AN}{{37}}(?!{_AN})"),
    ("perplexity_key", "pplx-", rf"{_AN}{{40,64}}"),
    ("nvidia_key", "nvapi-", rf"{_B64}{{60,80}}"),
    ("cerebras_key", "csk-", rf"{_AN}{{40,64}}"),
    ("fireworks_key", "fw_", rf"{_AN}{{20,32}}(?!{_AN})"),
    ("together_key", "tgp_v1_", rf"{_B64}{{40,60}}"),
    ("tavily_key", "tvly-", rf"{_B64}{{20,80}}"),
    ("langsmith_key", "lsv2_pt_ lsv2_sk_", rf"{_HEX}{{32}}_{_HEX}{{10}}"),
    ("pinecone_key", "pcsk_", r"[A-Za-z0-9_]{40,100}"),
    ("elevenlabs_key", "sk_", rf"{_HEX}{{48}}(?!{_AN})"),
    ("e2b_key", "e2b_", rf"{_HEX}{{40}}"),
    ("linear_key", "lin_api_ lin_oauth_", rf"{_AN}{{32,64}}"),
    ("notion_token", "ntn_ secret_", rf"{_AN}{{43,50}}(?!{_AN})"),
    ("figma_token", "figd_", rf"{_B64}{{38,48}}"),
    ("shopify_token", "shpat_ shpca_ shppa_ shpss_", r"[0-9a-fA-F]{32}"),
    ("mailgun_key", "key-", rf"{_HEX}{{32}}(?!{_AN})"),
    ("brevo_key", "xkeysib-", rf"{_HEX}{{64}}-{_AN}{{16}}"),
    ("docker_token", "dckr_pat_ dckr_oat_", rf"{_B64}{{27,40}}"),
    ("databricks_token", "dapi", rf"{_HEX}{{32}}(?:-\d)?(?!{_AN})"),
    ("vault_token", "hvs. hvb. hvr.", rf"{_B64}{{24,300}}"),
    ("doppler_token", "dp.pt. dp.st. dp.ct. dp.sa.", r"[A-Za-z0-9._]{40,60}"),
    ("heroku_key", "HRKU-", rf"{_B64}{{36,70}}"),
    ("netlify_token", "nfp_", rf"{_AN}{{36,44}}"),
    ("supabase_key", "sbp_ sb_secret_", rf"{_B64}{{30,50}}"),
    ("planetscale_key", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_.=-]{32,64}"),
    ("newrelic_key", "NRAK-", r"[A-Z0-9]{27}"),
    ("sentry_token", "sntryu_ sntrys_", r"[A-Za-z0-9+/=_]{60,400}"),
    ("grafana_token", "glsa_ glc_", r"[A-Za-z0-9+/=_]{32,400}"),
    ("postman_key", "PMAK-", rf"{_HEX}{{24}}-{_HEX}{{34}}"),
    ("rubygems_key", "rubygems_", rf"{_HEX}{{48}}"),
    ("crates_token", "cio", rf"{_AN}{{32}}(?!{_AN})"),
    ("age_key", "AGE-SECRET-KEY-1", r"[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("onepassword_token", "ops_eyJ", rf"{_B64}{{200,2000}}"),
    ("atlassian_token", "ATATT3x ATCTT3x ATBB", r"[A-Za-z0-9_=-]{28,300}"),
    ("circleci_token", "CCIPAT_ CCIPRJ_", r"[A-Za-z0-9_]{40,90}"),
    ("buildkite_token", "bkua_", rf"{_HEX}{{40}}"),
    ("sourcegraph_token", "sgp_", rf"(?:[0-9a-f]{{16}}_|local_)?{_HEX}{{40}}"),
    ("pulumi_token", "pul-", rf"{_HEX}{{40}}"),
    ("alibaba_key", "LTAI", rf"{_AN}{{16,26}}(?!{_AN})"),
    ("tencent_key", "AKID", rf"{_AN}{{32}}(?!{_AN})"),
    ("mapbox_token", "sk.eyJ", rf"{_B64}{{60,200}}\.{_B64}{{20,40}}"),
    ("posthog_key", "phx_", rf"{_AN}{{40,60}}"),
    ("wandb_key", "wandb_v1_", rf"{_B64}{{60,100}}"),
    ("square_token", "sq0atp- sq0csp-", rf"{_B64}{{22,80}}"),
    ("facebook_token", "EAAC EAAG EAAB", rf"{_AN}{{80,300}}"),
    ("contentful_token", "CFPAT-", rf"{_B64}{{40,50}}"),
    ("firecrawl_key", "fc-", rf"{_HEX}{{32}}(?!{_AN})"),
    ("discord_webhook", "discord.com/api/webhooks/ discordapp.com/api/webhooks/", rf"\d{{17,20}}/{_B64}{{60,80}}"),
    (
        "slack_webhook",
        "hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/",
        r"[A-Za-z0-9_]+/[A-Za-z0-9_]+/[A-Za-z0-9_/]{16,80}",
    ),
    ("teams_webhook", "webhook.office.com/webhookb2/", r"[A-Za-z0-9@/_-]{60,300}"),
)

_FREE_FORM = {"openai_key", "fireworks_key", "tavily_key", "supabase_key", "doppler_token"}
"""Kinds whose body could be a few words joined by dashes; these must look as if a program had made them."""

_AROUND: tuple[tuple[str, tuple[str, ...], tuple[int, ...], str], ...] = (
    # kind, literals, how far before the literal the token begins, the whole token
    (
        "azure_client_secret",
        tuple(f"{digit}Q~" for digit in range(10)),
        (3,),
        rf"{_B64}{{3}}\dQ~[A-Za-z0-9_.~-]{{31,34}}",
    ),
    ("telegram_token", (":AA",), (10, 9, 8), rf"\d{{8,10}}:AA{_B64}{{33}}(?!{_B64})"),
    ("mailchimp_key", ("-us",), (32,), rf"{_HEX}{{32}}-us\d{{1,2}}(?![\w-])"),
    ("terraform_token", (".atlasv1.",), (14,), rf"{_AN}{{14}}\.atlasv1\.{_B64}{{60,80}}"),
)

LEAST_LETTERS = 9
"""Different characters that every token has; a repeated word has fewer."""


def rules() -> list[Rule]:
    """One rule for each line of the tables."""
    found = [Rule(tuple(literals.split()), _prefixed(kind, body)) for kind, literals, body in _TABLE]
    found += [Rule(literals, _around(kind, before, token)) for kind, literals, before, token in _AROUND]
    return [*found, Rule(_DISCORD_STARTS, _prefixed("discord_token", _DISCORD))]


def _prefixed(kind: str, body: str) -> Check:
    before, after = re.compile(_BEFORE), re.compile(body)
    free_form = kind in _FREE_FORM

    def check(text: str, start: int, end: int) -> Finding | None:
        if not (before.match(text, start) and (found := after.match(text, end))):
            return None
        if text[end - 1] == "=":
            start = end  # What stands before is the key's name.
        token = text[start : found.end()].rstrip(".")
        if len(set(token)) < LEAST_LETTERS or is_token_stand_in(token) or (free_form and not _has_random_run(token)):
            return None
        return Finding(kind, start, start + len(token), token)

    return check


def _around(kind: str, before: tuple[int, ...], token: str) -> Check:
    pattern = re.compile(rf"(?:{_BEFORE}|(?<=/bot)){token}")

    def check(text: str, start: int, end: int) -> Finding | None:
        for begin in (start - each for each in before if each <= start):
            if (found := pattern.match(text, begin)) and not is_token_stand_in(found[0].rpartition(":")[2]):
                return Finding(kind, begin, found.end(), found[0])
        return None

    return check


_RUN = re.compile(r"[A-Za-z0-9]{12,}")


def _has_random_run(token: str) -> bool:
    return any(re.search(r"\d", run) and re.search(r"[A-Za-z]", run) for run in _RUN.findall(token))


# A Discord bot's token begins with the base64 of its id, which is digits: the first three letters are one of these.
_DISCORD_STARTS = tuple(a + b + c for a in "MNO" for b in "DTjz" for c in "AEIMQUYcgk")
_DISCORD = rf"[w-z0-5]{_B64}{{19,24}}\.{_B64}{{6}}\.{_B64}{{27,40}}(?!{_B64})"
