"""Judges the manifests of a directory: the API's schemas, and whether they agree with each other, with the Dockerfile and with
the server. `test` calls it, in a virtual environment with kubernetes-validate.

  check.py MANIFESTS [--help-of FILE] [--dockerfile FILE] [--openapi FILE] [--profiles DIRECTORY]
"""
import argparse
import json
import pathlib
import re
import sys

import kubernetes_validate
import yaml

# From the first version with ReadWriteOncePod for all to the newest that kubernetes-validate knows.
VERSIONS = ["1.29", kubernetes_validate.latest_version()]
# Kinds of the Prometheus operator and of kustomize, whose schemas it does not have: the keys that `spec` or the file may have.
OTHERS = {
    "ServiceMonitor": {"jobLabel", "selector", "endpoints"},
    "PrometheusRule": {"groups"},
    "Kustomization": {"apiVersion", "kind", "namespace", "resources", "images"},
}
problems = []


def demand(condition, problem):
    if not condition:
        problems.append(problem)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("manifests", type=pathlib.Path)
    for name in ("--help-of", "--dockerfile", "--openapi", "--profiles"):
        parser.add_argument(name, type=pathlib.Path)
    arguments = parser.parse_args()
    files = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted(arguments.manifests.glob("*.yaml"))}
    objects = [it for documents in files.values() for it in documents]
    for each in objects:
        validate(each)
    kustomization(files)
    of_kind = lambda kind: [it for it in objects if it["kind"] == kind]
    [stateful_set] = of_kind("StatefulSet")
    pod = stateful_set["spec"]["template"]
    [container] = pod["spec"]["containers"]
    selected(stateful_set, pod, of_kind)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    ports_named(container, ports, of_kind)
    guaranteed(container)
    keys(stateful_set, container)
    rules(of_kind("ServiceMonitor"), of_kind("PrometheusRule"), of_kind("Service"))
    if arguments.help_of:
        variables(container, arguments.help_of.read_text())
    if arguments.dockerfile:
        image(container, pod, ports, arguments.dockerfile.read_text())
    if arguments.openapi:
        probes(container, json.loads(arguments.openapi.read_text()))
    if arguments.profiles:
        profile = pathlib.PurePath(pod["spec"]["securityContext"]["seccompProfile"]["localhostProfile"]).name
        demand((arguments.profiles / profile).is_file(), f"there is no {arguments.profiles / profile}")
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{len(objects)} objects, Kubernetes {' and '.join(VERSIONS)}")


def validate(each):
    kind = each["kind"]
    if kind in OTHERS:
        known, body = OTHERS[kind], each if kind == "Kustomization" else each["spec"]
        demand(set(body) <= known, f"{kind}: {sorted(set(body) - known)} is none of its keys")
        demand("name" in each.get("metadata", {}) or kind == "Kustomization", f"{kind}: it has no name")
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except Exception as error:  # whatever is wrong is a problem of the manifest
            problems.append(f"{kind} {each['metadata']['name']}, Kubernetes {version}: {getattr(error, 'message', error)}")


def kustomization(files):
    [own] = files["kustomization.yaml"]
    demand(set(own["resources"]) | {"kustomization.yaml"} == set(files), "kustomization.yaml does not name the files beside it")


def selected(stateful_set, pod, of_kind):
    labels = pod["metadata"]["labels"].items()
    spec = stateful_set["spec"]
    selectors = {"StatefulSet": spec["selector"]["matchLabels"]}
    selectors |= {f"Service {it['metadata']['name']}": it["spec"]["selector"] for it in of_kind("Service")}
    selectors |= {"PodDisruptionBudget": it["spec"]["selector"]["matchLabels"] for it in of_kind("PodDisruptionBudget")}
    selectors |= {"NetworkPolicy": it["spec"]["podSelector"]["matchLabels"] for it in of_kind("NetworkPolicy")}
    for name, selector in selectors.items():
        demand(selector and selector.items() <= labels, f"{name} selects no pod of the StatefulSet")
    headless = [it["metadata"]["name"] for it in of_kind("Service") if it["spec"].get("clusterIP") == "None"]
    demand([spec["serviceName"]] == headless, f"serviceName is not the headless service {headless}")
    demand(spec["replicas"] == 1, "there is one writer")


def ports_named(container, ports, of_kind):
    used = {("Service", port["targetPort"]) for it in of_kind("Service") for port in it["spec"]["ports"]}
    used |= {("NetworkPolicy", port["port"]) for it in of_kind("NetworkPolicy") for rule in it["spec"]["ingress"] for port in rule["ports"]}
    used |= {(probe, container[probe]["httpGet"]["port"]) for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    for user, name in sorted(used):
        demand(name in ports, f"{user}: the container has no port {name}")
    for service in of_kind("Service"):
        for port in service["spec"]["ports"]:
            demand(port["port"] == ports.get(port["targetPort"]), f"Service {service['metadata']['name']} has port {port['port']}")


def guaranteed(container):
    resources = container["resources"]
    demand(resources["requests"] == resources["limits"], "requests are not limits: the pod is not Guaranteed")
    demand(re.fullmatch("[1-9][0-9]*", resources["limits"]["cpu"]), "CPUs are not whole: none are exclusive")


def keys(stateful_set, container):
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    volumes = {it["name"] for it in stateful_set["spec"]["template"]["spec"]["volumes"]}
    claims = {it["metadata"]["name"] for it in stateful_set["spec"]["volumeClaimTemplates"]}
    demand(set(mounts) == volumes | claims, "volumes and mounts differ")
    for variable in container["env"]:
        if variable["name"].endswith("_FILE"):
            demand(variable["value"].startswith(mounts["keys"] + "/"), f"{variable['name']} is not in the mounted secret")


def rules(monitors, prometheus_rules, services):
    [monitor] = monitors
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [it for it in services if wanted <= it["metadata"]["labels"].items()]
    demand(len(found) == 1, f"the ServiceMonitor selects {len(found)} services")
    port = monitor["spec"]["endpoints"][0]["port"]
    demand(all(port in [it["name"] for it in service["spec"]["ports"]] for service in found), f"no service has the port {port}")
    job = [it["metadata"]["labels"].get(monitor["spec"]["jobLabel"]) for it in found]
    text = json.dumps(prometheus_rules)
    for name in set(re.findall(r'job=\\"([^\\]*)\\"', text)):
        demand(job == [name], f"the rules ask for the job {name}, and the ServiceMonitor makes {job}")
    demand('"alert"' in text and '"record"' in text, "the PrometheusRule has no alerts or no recording rules")


def variables(container, text):
    for variable in container["env"]:
        demand(re.search(rf"^  {variable['name']}( |$)", text, re.M), f"the server knows no variable {variable['name']}")


def image(container, pod, ports, text):
    text = text.replace("\\\n", " ")
    environment = dict(re.findall(r"\b([A-Z][A-Z_]*)=(\S+)", " ".join(re.findall(r"^ENV (.*)$", text, re.M))))
    demand(environment.get("PORT") == str(ports["api"]), f"the image's PORT is {environment.get('PORT')}")
    demand(environment.get("METRICS_PORT") == str(ports["metrics"]), f"the image's METRICS_PORT is {environment.get('METRICS_PORT')}")
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    for name in ("DATA_PATH", "EVENTS_FILE_PATH"):
        path = environment.get(name, "")
        demand(path.startswith(mounts["data"] + "/"), f"the image's {name} is {path}")
    [user] = re.findall(r"^USER (\d+):(\d+)$", text, re.M)
    security = pod["spec"]["securityContext"]
    demand(user == (str(security["runAsUser"]), str(security["runAsGroup"])), f"the image's user is {user}")
    demand(security["fsGroup"] == security["runAsGroup"], "the volume belongs to another group")


def probes(container, description):
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        demand("get" in description["paths"].get(path, {}), f"{probe}: the server has no {path}")


main()
