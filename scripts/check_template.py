"""Check the AWS template: translate it as AWS will, lint the result, then ask what no linter asks.

    .venv-deploy/bin/python scripts/check_template.py [TEMPLATE...] [--translated FILE]

Linting SAM's own form misses mistakes, so what is linted is what CloudFormation will get. It needs
requirements/deploy.txt and nothing of reelshelf's own, but for modules that import nothing.
"""

import argparse
import ast
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")  # the translator asks for one
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cfnlint.api import lint  # noqa: E402
from cfnlint.config import ManualArgs  # noqa: E402
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

from generator.core.delivery.nginx import content_policy, security_headers  # noqa: E402

Json = dict[str, Any]
Check = Callable[["Deployment"], Iterator[str]]

REGIONS = ["us-east-1", "eu-central-1"]
TWO_WEEKS_S = 14 * 86400
LONG_POLL_S = 20
BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
# Names in the environment that are no settings: secrets, which no settings file may hold.
SECRETS = {"ORIGIN_SECRETS", "OWNER_DIGESTS", "SECRET", "SECRETS"}
SIGN_IN = {"/login.html", "/assets/*", "/robots.txt", "/api/*"}  # open on a private site
FOREIGN = {"PYTHONPATH": "programs that a Lambda starts find our packages by it"}
API_MAY = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage", "ssm:GetParameter"}
CDN_MAY = {"cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"}
# Whole policies that may hold a bare "*", with the reason; there is none at present.
WILDCARDS: dict[str, str] = {}
# Types that have tags, but are made by AWS's own transform without a way to set them.
UNTAGGED: dict[str, str] = {
    "AWS::SNS::Subscription": "a part of its topic",
}
ALARMS = {
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): "how long events wait",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): "how many events wait",
    ("AWS/ApiGateway", "5xx"): "what the API answers",
    ("AWS/Lambda", "Errors"): "Lambdas that fail",
    ("AWS/Lambda", "Duration"): "a builder that takes too long",
    ("AWS/Lambda", "Throttles"): "requests that are turned away",
}


class Deployment:
    """A translated template, and ways to look at it."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.resources: dict[str, Json] = document["Resources"]

    def of(self, *kinds: str) -> dict[str, Json]:
        """Return the properties of every resource of some kinds, by name."""
        return {
            name: one.get("Properties", {})
            for name, one in self.resources.items()
            if one["Type"] in kinds
        }

    def statements(self, kind: str) -> Iterator[tuple[str, str, Json]]:
        """Yield name, target and statement of the policies that a kind of resource holds."""
        for name, properties in self.of(kind).items():
            targets = properties.get("Bucket") or properties.get("Queues", properties.get("Topics"))
            for one in _listed(properties["PolicyDocument"]["Statement"]):
                for target in _listed(targets):
                    yield name, target["Ref"], one

    def grants(self) -> Iterator[tuple[str, Json]]:
        """Yield every statement that gives one of our roles or users something."""
        for name, role in self.of("AWS::IAM::Role").items():
            for policy in role.get("Policies", ()):
                yield from ((name, one) for one in _unfolded(policy["PolicyDocument"]))
        for name, policy in self.of("AWS::IAM::ManagedPolicy").items():
            yield from ((name, one) for one in _unfolded(policy["PolicyDocument"]))

    def functions(self) -> dict[str, Json]:
        """Return the properties of the Lambdas."""
        return self.of("AWS::Lambda::Function")

    def distribution(self, *, is_private: bool = False) -> Json:
        """Return the configuration of the only distribution, of an open or of a private site."""
        (found,) = self.of("AWS::CloudFront::Distribution").values()
        config: Json = _of_site(found["DistributionConfig"], is_private=is_private)
        return config


def main() -> int:
    """Return 0 where there is nothing to say, 1 with every fault told."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "templates", nargs="*", type=Path, default=[ROOT / "api_lambda" / "template.yaml"]
    )
    parser.add_argument("--translated", type=Path, help="write what CloudFormation gets there")
    parser.add_argument("--own", action="store_true", help="our own checks alone, without cfn-lint")
    parser.add_argument("--json", action="store_true", help="the faults of each, as one object")
    given = parser.parse_args()
    found = {
        str(one): list(faults(one, given.translated, lints=not given.own))
        for one in given.templates
    }
    if given.json:
        print(json.dumps(found))
    else:
        print("\n".join(line for told in found.values() for line in told or ["nothing to say"]))
    return 1 if any(found.values()) else 0


def faults(template: Path, target: Path | None, *, lints: bool) -> Iterator[str]:
    """Yield all that is wrong with a template; write what it becomes to `target`."""
    written: Json = yaml_parse(template.read_text(encoding="utf-8"))
    yield from (f"parameters: {one}" for one in undescribed(written))
    try:
        document = translated(written)
    except InvalidDocumentException as error:
        yield from (f"translation: {cause.message}" for cause in error.causes)
        return
    text = json.dumps(document, indent=1)
    if target:
        target.write_text(text, encoding="utf-8")
    if lints:
        yield from (f"cfn-lint: {one}" for one in linted(text))
    deployment = Deployment(document)
    for check in CHECKS:
        yield from (f"{check.__name__}: {one}" for one in check(deployment))


def translated(written: Json) -> Json:
    """Return what AWS makes of a SAM template.

    Raises:
        InvalidDocumentException: it cannot be translated.
    """
    packaged = json.loads(json.dumps(written, default=str))
    for one in packaged["Resources"].values():
        if "CodeUri" in one.get("Properties", {}):  # as `aws cloudformation package` leaves it
            one["Properties"]["CodeUri"] = (
                "s3://packages/" + Path(one["Properties"]["CodeUri"]).name
            )
    values = {name: one.get("Default", "") for name, one in packaged["Parameters"].items()}
    document: Json = Translator({}, Parser()).translate(packaged, values)
    return document


def linted(text: str) -> list[str]:
    """Return what cfn-lint says of a translated template."""
    found = lint(text, config=ManualArgs(regions=REGIONS))
    return [f"{one.rule.id} {'/'.join(map(str, one.path or ()))}: {one.message}" for one in found]


# -- before the translation


def undescribed(written: Json) -> Iterator[str]:
    """Every parameter says what it is for, and secrets are not shown."""
    for name, parameter in written["Parameters"].items():
        if not parameter.get("Description", "").strip():
            yield f"{name} has no description"
        is_secret = name.endswith(("Secret", "Digests", "Token"))
        if is_secret and str(parameter.get("NoEcho")).lower() != "true":
            yield f"{name} is a secret and would be shown (NoEcho)"


# -- queues


def queues(deployment: Deployment) -> Iterator[str]:
    """Ask for standard queues that keep things, and for one end to what cannot be read."""
    found = deployment.of("AWS::SQS::Queue")
    for name, queue in found.items():
        if queue.get("FifoQueue") or ".fifo" in json.dumps(queue.get("QueueName", "")):
            yield f"{name} is FIFO: ten messages at most at once, and no batching window"
        if queue.get("MessageRetentionPeriod") != TWO_WEEKS_S:
            yield f"{name} does not keep what nobody fetches for 14 days"
        if not _is_true(queue.get("SqsManagedSseEnabled")) and "KmsMasterKeyId" not in queue:
            yield f"{name} is not encrypted"
    for name in sorted(_ends(deployment) & found.keys()):
        if "RedrivePolicy" in found[name]:
            yield f"{name} is a dead-letter queue and has one itself"
        if "RedriveAllowPolicy" not in found[name]:
            yield f"{name} takes dead letters from any queue"


def worked_queues(deployment: Deployment) -> Iterator[str]:
    """Ask that a queue gives a builder its time, and gives up at last."""
    longest_s = max((one.get("Timeout", 3) for one in deployment.functions().values()), default=0)
    ends = _ends(deployment)
    for name, queue in deployment.of("AWS::SQS::Queue").items():
        if name in ends:
            continue
        if "RedrivePolicy" not in queue:
            yield f"{name} has no dead-letter queue: what cannot be read comes again for ever"
        elif not 3 <= int(queue["RedrivePolicy"]["maxReceiveCount"]) <= 10:  # noqa: PLR2004
            yield f"{name} gives up too early or too late (maxReceiveCount)"
        if queue.get("VisibilityTimeout", 30) < longest_s:
            yield f"{name} shows messages again before a builder of {longest_s} s is done"
        if queue.get("ReceiveMessageWaitTimeSeconds") != LONG_POLL_S:
            yield f"{name} is asked all the time for nothing: no long poll"


def _ends(deployment: Deployment) -> set[str]:
    return {
        _names(one["RedrivePolicy"]["deadLetterTargetArn"])[0]
        for one in deployment.of("AWS::SQS::Queue").values()
        if "RedrivePolicy" in one
    }


def nothing_pulls(deployment: Deployment) -> Iterator[str]:
    """No Lambda hangs on a queue: the builder drains it when it is started."""
    for name in deployment.of("AWS::Lambda::EventSourceMapping"):
        yield f"{name} pulls from a queue: more than one builder at once, and spurious dead letters"


# -- buckets, and who may do what


def buckets(deployment: Deployment) -> Iterator[str]:
    """Ask for buckets that are private, encrypted and owned."""
    for name, bucket in deployment.of("AWS::S3::Bucket").items():
        blocks = bucket.get("PublicAccessBlockConfiguration", {})
        for block in BLOCKS:
            if not _is_true(blocks.get(block)):
                yield f"{name} can be made public ({block})"
        if "BucketEncryption" not in bucket:
            yield f"{name} is not encrypted"
        if '"BucketOwnerEnforced"' not in json.dumps(bucket.get("OwnershipControls", {})):
            yield f"{name} knows ACLs"
        if "WebsiteConfiguration" in bucket:
            yield f"{name} is a website of its own, past CloudFront"


def tidied(deployment: Deployment) -> Iterator[str]:
    """Ask for former versions, but not for ever, and for an end of unfinished uploads."""
    for name, bucket in deployment.of("AWS::S3::Bucket").items():
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        if not any("AbortIncompleteMultipartUpload" in one for one in rules):
            yield f"{name} keeps uploads that were never finished"
        is_versioned = bucket.get("VersioningConfiguration", {}).get("Status") == "Enabled"
        if not is_versioned and "NotificationConfiguration" not in bucket:
            yield f"{name} is not versioned"
        if is_versioned and not any("NoncurrentVersionExpiration" in one for one in rules):
            yield f"{name} keeps former versions for ever"


def kept(deployment: Deployment) -> Iterator[str]:
    """Let what is precious outlive the stack."""
    for name, one in deployment.resources.items():
        if one["Type"] in {"AWS::S3::Bucket", "AWS::SQS::Queue"} and (
            one.get("DeletionPolicy"), one.get("UpdateReplacePolicy")
        ) != ("Retain", "Retain"):  # fmt: skip
            yield f"{name} is deleted together with the stack, or when its name changes"


def encrypted_ways(deployment: Deployment) -> Iterator[str]:
    """Every bucket, queue and topic refuses who comes without TLS."""
    ways = {
        "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "s3:*"),
        "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "sqs:*"),
        "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "sns:Publish"),
    }
    for kind, (policy, action) in ways.items():
        closed = {
            target
            for _, target, one in deployment.statements(policy)
            if one["Effect"] == "Deny"
            and one["Principal"] == "*"
            and action in _listed(one["Action"])
            and str(one.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")) == "false"
        }
        for name in deployment.of(kind).keys() - closed:
            yield f"{name} can be spoken to without TLS"


def services(deployment: Deployment) -> Iterator[str]:
    """Let services act for us alone, and nobody else do anything."""
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        for name, target, one in deployment.statements(kind):
            if one["Effect"] != "Allow":
                continue
            principal, condition = one["Principal"], json.dumps(one.get("Condition", {}))
            if not isinstance(principal, dict) or set(principal) != {"Service"}:
                yield f"{name} lets {principal} into {target}"
            elif principal["Service"] == "cloudfront.amazonaws.com":
                if "aws:SourceArn" not in condition or "Distribution" not in condition:
                    yield f"{name} lets any distribution of anybody into {target} (SourceArn)"
            elif "aws:SourceAccount" not in condition:
                yield f"{name} lets {principal['Service']} into {target} for any account"
            if kind == "AWS::SQS::QueuePolicy" and "aws:SourceArn" not in condition:
                yield f"{name} lets any bucket of the account into {target} (SourceArn)"
            if any("*" in action for action in _listed(one["Action"])):
                yield f"{name} allows {one['Action']} on {target}"


def least_privilege(deployment: Deployment) -> Iterator[str]:
    """No star where an action or a resource could be named."""
    for name, role in deployment.of("AWS::IAM::Role").items():
        if role.get("ManagedPolicyArns"):
            yield f"{name} has a policy of AWS's own, which allows more than is needed"
    for name, one in deployment.grants():
        actions = _listed(one["Action"])
        resources = [_text(resource) for resource in _listed(one["Resource"])]
        if name not in WILDCARDS:
            yield from (f"{name} may {action}" for action in actions if "*" in action)
            for resource in resources:
                if "*" in resource.removesuffix("*") or (
                    resource.endswith("*") and not _is_in_a_bucket(resource)
                ):
                    yield f"{name} may {', '.join(actions)} on {resource}"
        for action in actions:
            if action.startswith("cloudfront:") and (
                action not in CDN_MAY
                or any(not one.endswith("distribution/${Distribution}") for one in resources)
            ):
                yield f"{name} may {action} beyond its own distribution"
            if name == "ApiRole" and action not in API_MAY:
                yield f"{name} may {action}, and needs it for nothing"


def _is_in_a_bucket(resource: str) -> bool:
    """Tell whether a resource is all of a named bucket, or of a folder in it."""
    return (
        re.fullmatch(r"(\$\{\w*Bucket\.Arn\}|arn:.*:s3:::\$\{\w+\})(/\w+)?/\*", resource)
        is not None
    )


# -- Lambdas


def functions(deployment: Deployment) -> Iterator[str]:
    """Every Lambda is like the others, logs where logs end, and hangs in no network."""
    logs = deployment.of("AWS::Logs::LogGroup").keys()
    for name, function in deployment.functions().items():
        if function.get("Architectures") != ["arm64"] or function.get("Runtime") != "python3.13":
            yield f"{name} is not what the zips are made for (python3.13 on arm64)"
        if "VpcConfig" in function:
            yield f"{name} hangs in a network, which needs endpoints that cost more than all else"
        group = function.get("LoggingConfig", {}).get("LogGroup", {})
        if not isinstance(group, dict) or group.get("Ref") not in logs:
            yield f"{name} logs into a group that keeps everything for ever"
        if "ReservedConcurrentExecutions" in function and "Fn::If" not in json.dumps(
            function["ReservedConcurrentExecutions"]
        ):
            yield f"{name} reserves concurrency, which new accounts cannot"


def schedule(deployment: Deployment) -> Iterator[str]:
    """Ticks that were missed are not made up for."""
    for name, one in deployment.of("AWS::Scheduler::Schedule").items():
        if one["Target"].get("RetryPolicy") != {
            "MaximumRetryAttempts": 0,
            "MaximumEventAgeInSeconds": 60,
        }:
            yield f"{name} makes up for missed ticks for hours"
    for name, one in deployment.of("AWS::Lambda::EventInvokeConfig").items():
        if one.get("MaximumRetryAttempts") != 0 or one.get("MaximumEventAgeInSeconds", 21600) > 60:  # noqa: PLR2004
            yield f"{name} makes up for missed starts for hours"
    started = {
        _names(one["Target"]["Arn"])[0]
        for one in deployment.of("AWS::Scheduler::Schedule").values()
    }
    settled = {
        _names(one["FunctionName"])[0]
        for one in deployment.of("AWS::Lambda::EventInvokeConfig").values()
    }
    yield from (f"{name} is tried again when it fails" for name in sorted(started - settled))


def handlers(deployment: Deployment) -> Iterator[str]:
    """See that what a Lambda is to call is there."""
    for name, function in deployment.functions().items():
        module, _, handler = function["Handler"].rpartition(".")
        file = ROOT / (module.replace(".", "/") + ".py")
        if not file.is_file():
            yield f"{name}: there is no module {module}"
        elif handler not in _top_names(file):
            yield f"{name}: {module} has no {handler}"


def environment(deployment: Deployment) -> Iterator[str]:
    """Every variable is a setting: one that is none would stop the Lambda at its start."""
    settings = _fields(ROOT / "generator" / "adapters" / "settings" / "settings.py", "Settings")
    for name, function in deployment.functions().items():
        for variable in function.get("Environment", {}).get("Variables", {}):
            known = variable.removeprefix("REELSHELF_")
            if variable in FOREIGN:
                continue
            if known == variable or (known.lower() not in settings and known not in SECRETS):
                yield f"{name}: {variable} is not a setting"


# -- CloudFront, and the API behind it


def edge(deployment: Deployment) -> Iterator[str]:
    """Ask for TLS, a home page, and errors that nobody keeps."""
    config = deployment.distribution()
    certificates = json.dumps(config.get("ViewerCertificate", {}))
    if "TLSv1.2_2021" not in certificates:
        yield "old browsers' TLS is taken (MinimumProtocolVersion)"
    if config.get("DefaultRootObject") != "index.html":
        yield 'S3 takes "/" for a wish to list the bucket (DefaultRootObject)'
    if config.get("HttpVersion") != "http2and3":
        yield "no HTTP/3"
    errors = {one["ErrorCode"]: one for one in config.get("CustomErrorResponses", [])}
    if "/404.html" not in json.dumps(errors.get(404, {}).get("ResponsePagePath", "")):
        yield "what is not there is not told by 404.html"
    if "ResponsePagePath" in errors.get(403, {}):
        yield "403 of the API would become a page"
    yield from (
        f"an error {code} is kept" for code, one in errors.items() if one.get("ErrorCachingMinTTL")
    )


def private_site(deployment: Deployment) -> Iterator[str]:
    """Ask that of a private site only what it takes to sign in is open, and nothing is kept."""
    config = deployment.distribution(is_private=True)
    opened = set()
    for one in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        path = json.dumps(one.get("PathPattern", "*"))
        if "TrustedKeyGroups" not in one:
            opened |= {name for name in SIGN_IN if name in path}
            if not any(name in path for name in SIGN_IN):
                yield f"{path} of a private site is open to everybody"
        elif one.get("ResponseHeadersPolicyId") != {"Ref": "PrivateHeaders"}:
            yield f"{path} of a private site may be kept by caches (PrivateHeaders)"
    yield from (f"nobody can sign in without {name}" for name in sorted(SIGN_IN - opened))
    errors = {one["ErrorCode"]: one for one in config["CustomErrorResponses"]}
    if "/login.html" not in json.dumps(errors[403]):
        yield "who is not signed in is not led to the login page"


def origins(deployment: Deployment) -> Iterator[str]:
    """Ask for a way to each origin that nobody else has."""
    for origin in deployment.distribution()["Origins"]:
        if "S3OriginConfig" in origin and "OriginAccessControlId" not in origin:
            yield f"the origin {origin['Id']} is asked without a signature (OAC)"
        if "CustomOriginConfig" in origin:
            if origin["CustomOriginConfig"].get("OriginProtocolPolicy") != "https-only":
                yield f"the origin {origin['Id']} is asked without TLS"
            if "x-origin-verify" not in json.dumps(origin.get("OriginCustomHeaders", [])):
                yield f"the origin {origin['Id']} cannot tell CloudFront from others"


def behaviors(deployment: Deployment) -> Iterator[str]:
    """Ask that pages, videos and the API are each served in their way."""
    targets = set()
    for one, policy in _behaviors(deployment):
        target = one["TargetOriginId"]
        targets.add(target)
        if one["ViewerProtocolPolicy"] not in {"redirect-to-https", "https-only"}:
            yield f"{target} is served without TLS"
        if "ResponseHeadersPolicyId" not in one:
            yield f"{target} is served without our headers"
        if policy.get("MinTTL") != 0:
            yield f"{target} is kept longer than Cache-Control says (MinTTL)"
        key = policy.get("ParametersInCacheKeyAndForwardedToOrigin", {})
        asks = key.get("QueryStringsConfig", {}).get("QueryStringBehavior") != "none"
        if asks and target != "api":
            yield f"a question is passed on to the bucket of {target}, which would list itself"
    if targets != {"site", "media", "api"}:
        yield f"served are {', '.join(sorted(targets))}, and not site, media and api"


def way_to_the_api(deployment: Deployment) -> Iterator[str]:
    """Ask that nothing of the API's is kept, and that it learns what it has to know."""
    for one, policy in _behaviors(deployment):
        if one["TargetOriginId"] != "api":
            continue
        if (policy.get("DefaultTTL"), policy.get("MaxTTL", 31536000)) not in {(0, 0), (0, 1)}:
            yield "answers of the API are kept"
        key = policy.get("ParametersInCacheKeyAndForwardedToOrigin", {})
        if key.get("CookiesConfig", {}).get("CookieBehavior") != "all":
            yield "one visitor could get another's answer (cookies)"
        if "Authorization" not in key.get("HeadersConfig", {}).get("Headers", ()):
            yield "the API does not learn who the owner is (Authorization)"
        policies = deployment.of("AWS::CloudFront::OriginRequestPolicy")
        forwarded = policies.get(one.get("OriginRequestPolicyId", {}).get("Ref", ""), {})
        if "CloudFront-Viewer-Address" not in json.dumps(forwarded):
            yield "the API does not learn who asks (CloudFront-Viewer-Address)"
        if "PUT" not in one["AllowedMethods"]:
            yield "the API takes no writes"


def _behaviors(deployment: Deployment) -> Iterator[tuple[Json, Json]]:
    """Yield every behavior with its cache policy."""
    config = deployment.distribution()
    policies = deployment.of("AWS::CloudFront::CachePolicy")
    for one in (config["DefaultCacheBehavior"], *config.get("CacheBehaviors", ())):
        policy = policies.get(one["CachePolicyId"].get("Ref", ""), {})
        yield one, policy.get("CachePolicyConfig", {})


def same_headers(deployment: Deployment) -> Iterator[str]:
    """CloudFront sends what deploy/nginx.conf sends."""
    for one in deployment.of("AWS::CloudFront::ResponseHeadersPolicy").values():
        config = one["ResponseHeadersPolicyConfig"]
        security = config["SecurityHeadersConfig"]
        sent = {item["Header"]: item["Value"] for item in config["CustomHeadersConfig"]["Items"]}
        policy = security.get("ContentSecurityPolicy", {}).get("ContentSecurityPolicy")
        sent |= {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff" if "ContentTypeOptions" in security else None,
            "Referrer-Policy": security.get("ReferrerPolicy", {}).get("ReferrerPolicy"),
        }
        for header, value in security_headers(content_policy()).items():
            if sent.get(header) != value:
                yield f"{header} is {sent.get(header)!r}, and nginx sends {value!r}"


def throttle(deployment: Deployment) -> Iterator[str]:
    """See that the API takes so much and no more, and says what it did."""
    for name, stage in deployment.of("AWS::ApiGatewayV2::Stage").items():
        settings = stage.get("DefaultRouteSettings", {})
        if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= settings.keys():
            yield f"{name} takes any number of requests, and so any amount of money"
        if "AccessLogSettings" not in stage:
            yield f"{name} keeps no log"
        elif "sourceIp" in json.dumps(stage["AccessLogSettings"]):
            yield f"{name} keeps addresses of visitors"


# -- what is told, and what it costs


def retention(deployment: Deployment) -> Iterator[str]:
    """No log is kept for ever."""
    for name, group in deployment.of("AWS::Logs::LogGroup").items():
        if "RetentionInDays" not in group:
            yield f"{name} is kept for ever"


def alarms(deployment: Deployment) -> Iterator[str]:
    """Somebody is told of age, depth, errors and cost."""
    watched = set()
    dead = [
        name for name, one in deployment.of("AWS::SQS::Queue").items() if "RedrivePolicy" not in one
    ]
    sees_dead = False
    for name, alarm in deployment.of("AWS::CloudWatch::Alarm").items():
        watched.add((alarm["Namespace"], alarm["MetricName"]))
        if not alarm.get("AlarmActions"):
            yield f"{name} tells nobody"
        if not alarm.get("AlarmDescription"):
            yield f"{name} does not say what to do"
        sees_dead |= any(one in json.dumps(alarm["Dimensions"]) for one in dead)
    yield from (f"no alarm for {why}" for what, why in ALARMS.items() if what not in watched)
    if not sees_dead:
        yield "no alarm for dead letters"
    budgets = deployment.of("AWS::Budgets::Budget").values()
    if not any(one.get("NotificationsWithSubscribers") for one in budgets):
        yield "nobody is told what it costs"


def tags(deployment: Deployment) -> Iterator[str]:
    """See that all says which project and site it belongs to, where it can."""
    for name, one in deployment.resources.items():
        field = _tag_field(one["Type"])
        if field is None or one["Type"] in UNTAGGED:
            continue
        given = one.get("Properties", {}).get(field, {})
        if "Body" in one.get("Properties", {}):  # an API says it in its contract
            given = [{"Key": tag["name"]} for tag in one["Properties"]["Body"].get("tags", ())]
        keys = set(given) if isinstance(given, dict) else {tag.get("Key") for tag in given}
        if not {"project", "site"} <= keys:
            yield f"{name} does not say whose it is"


CHECKS: tuple[Check, ...] = (
    queues, worked_queues, nothing_pulls, buckets, tidied, kept, encrypted_ways, services,
    least_privilege, functions, schedule, handlers, environment, edge, private_site, origins,
    behaviors, way_to_the_api, same_headers, throttle, retention, alarms, tags,
)  # fmt: skip


# -- reading

_NOTHING = {"Ref": "AWS::NoValue"}


def _tag_field(kind: str) -> str | None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGIONS[0], kind).schema
    settable = schema["properties"].keys() - {
        path.rpartition("/")[2] for path in schema.get("readOnlyProperties", ())
    }
    return next((field for field in ("Tags", "ResourceTags") if field in settable), None)


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 (JSON)
    return value if isinstance(value, list) else [value]


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def _unfolded(document: Json) -> Iterator[Json]:
    """Yield the statements, also those that are there on a condition; resources likewise."""
    for one in _listed(document["Statement"]):
        for statement in _branches(one):
            if statement.get("Effect") == "Allow":
                resources = [
                    each for given in _listed(statement["Resource"]) for each in _branches(given)
                ]
                yield {**statement, "Resource": resources}


def _of_site(value: Any, *, is_private: bool) -> Any:  # noqa: ANN401 (JSON)
    """Return a value as it is for an open, or for a private site."""
    if isinstance(value, dict):
        if value.get("Fn::If", [""])[0] == "IsPrivate":
            return _of_site(value["Fn::If"][1 if is_private else 2], is_private=is_private)
        parts = {name: _of_site(part, is_private=is_private) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part != _NOTHING}
    if isinstance(value, list):
        return [
            part for each in value if (part := _of_site(each, is_private=is_private)) != _NOTHING
        ]
    return value


def _branches(value: Any) -> list[Any]:  # noqa: ANN401 (JSON)
    """Return what a value can be."""
    if isinstance(value, dict) and "Fn::If" in value:
        return [each for branch in value["Fn::If"][1:] for each in _branches(branch)]
    return [] if value == {"Ref": "AWS::NoValue"} else [value]


def _text(value: Any) -> str:  # noqa: ANN401 (JSON)
    """Return a resource as text, `${Name}` for what is not known yet."""
    if isinstance(value, dict):
        if "Fn::Sub" in value:
            return str(_listed(value["Fn::Sub"])[0])
        if "Fn::GetAtt" in value:
            return "${" + ".".join(value["Fn::GetAtt"]) + "}"
        return "${" + str(value.get("Ref", value)) + "}"
    return str(value)


def _names(value: Any) -> list[str]:  # noqa: ANN401 (JSON)
    """Return the resources that a value speaks of."""
    if isinstance(value, dict):
        if "Ref" in value:
            return [value["Ref"]]
        if "Fn::GetAtt" in value:
            return [value["Fn::GetAtt"][0]]
    return [str(value)]


def _top_names(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name for one in node.names}
    return names


def _fields(file: Path, kind: str) -> set[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == kind:
            return {
                one.target.id
                for one in node.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            }
    return set()


if __name__ == "__main__":
    sys.exit(main())
