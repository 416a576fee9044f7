"""Splits what helm rendered into one file an object, and the configuration of the gateway.

The objects of Prometheus's operator are checked here for what the chart promises of them."""

import pathlib
import sys

import yaml

rendered, directory = sys.argv[1], pathlib.Path(sys.argv[2])
directory.mkdir()
objects = {}
for found in yaml.safe_load_all(open(rendered)):
    if found:
        objects[f"{found['kind']}-{found['metadata']['name']}".lower()] = found
for name, found in objects.items():
    if found["apiVersion"].startswith("monitoring.coreos.com/"):
        port = found["spec"]["endpoints"][0]["port"]
        wanted = found["spec"]["selector"]["matchLabels"].items()
        services = [o for o in objects.values() if o["kind"] == "Service" and wanted <= o["metadata"]["labels"].items()]
        if [port] != [p["name"] for s in services for p in s["spec"]["ports"]]:
            sys.exit(f"{name} selects no service with the port {port}")
        continue
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(found))
    if found["kind"] == "ConfigMap":
        (directory / "sluice-config").write_text(found["data"]["sluice.yaml"])
(pod,) = [o["spec"]["template"] for o in objects.values() if o["kind"] == "StatefulSet"]
for found in objects.values():
    selector = found.get("spec", {}).get("selector", {})
    selector = selector.get("matchLabels", selector) if found["kind"] in ("Service", "PodDisruptionBudget") else {}
    if not selector.items() <= pod["metadata"]["labels"].items():
        sys.exit(f"{found['kind']} {found['metadata']['name']} does not select the pods: {selector}")
