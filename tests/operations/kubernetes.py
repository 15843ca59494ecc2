"""The manifests: rendered by kubectl, valid by Kubernetes' own schemas, and as careful as the documentation says."""

import functools
import pathlib
import subprocess
import sys
import tomllib
import unittest

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2] / "config" / "kubernetes"
OVERLAYS = ("ingress", "sidecar")
# From the first version with native sidecars to the newest that the validator knows.
VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")
# Kinds of an operator's own; Kubernetes has no schema for them.
FOREIGN = {"ServiceMonitor"}


@functools.cache
def rendered(overlay):
    made = subprocess.run(["kubectl", "kustomize", ROOT / "overlays" / overlay], capture_output=True, text=True)
    if made.returncode:
        raise AssertionError(f"{overlay} cannot be rendered: {made.stderr}")
    return list(yaml.safe_load_all(made.stdout))


def of_kind(overlay, kind):
    return [thing for thing in rendered(overlay) if thing["kind"] == kind]


def pods(overlay):
    """Deployments, with the pod that each makes."""
    return [(thing["metadata"]["name"], thing["spec"]["template"]) for thing in of_kind(overlay, "Deployment")]


def containers(pod):
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def proxy(overlay):
    """The pod with the proxy in it, and the proxy's container."""
    for _, pod in pods(overlay):
        for container in containers(pod):
            if container["name"] == "consentry":
                return pod, container
    raise AssertionError(f"{overlay} runs no proxy")


def settings(overlay):
    (config,) = of_kind(overlay, "ConfigMap")
    return tomllib.loads(config["data"]["consentry.toml"])


def port_of(address):
    return int(address.rpartition(":")[2])


def selects(selector, labels):
    return selector.items() <= labels.items()


class Manifests(unittest.TestCase):
    def test_schemas(self):
        for overlay in OVERLAYS:
            for thing in rendered(overlay):
                for version in () if thing["kind"] in FOREIGN else VERSIONS:
                    kubernetes_validate.validate(thing, version, strict=True)

    def test_a_mistake_would_be_found(self):
        thing = {**rendered("ingress")[0], "unknown": True}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(thing, VERSIONS[0], strict=True)

    def test_what_each_overlay_holds(self):
        both = {"ServiceAccount", "ConfigMap", "Deployment", "Service", "NetworkPolicy", "ServiceMonitor"}
        more = {"ingress": {"HorizontalPodAutoscaler", "PodDisruptionBudget"}, "sidecar": set()}
        for overlay in OVERLAYS:
            self.assertEqual({thing["kind"] for thing in rendered(overlay)}, both | more[overlay])

    def test_pods_have_no_powers(self):
        for overlay in OVERLAYS:
            for name, pod in pods(overlay):
                spec = pod["spec"]
                self.assertIs(spec["automountServiceAccountToken"], False, name)
                for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
                    self.assertNotIn(forbidden, spec, name)
                self.assertFalse([volume for volume in spec["volumes"] if "hostPath" in volume], name)
                for container in containers(pod):
                    own, of_pod = container["securityContext"], spec["securityContext"]
                    inherited = {**of_pod, **own}
                    label = f"{name}/{container['name']}"
                    self.assertIs(inherited["runAsNonRoot"], True, label)
                    self.assertEqual(inherited["seccompProfile"], {"type": "RuntimeDefault"}, label)
                    self.assertIs(own["allowPrivilegeEscalation"], False, label)
                    self.assertIs(own["readOnlyRootFilesystem"], True, label)
                    self.assertEqual(own["capabilities"], {"drop": ["ALL"]}, label)
                    self.assertNotIn("privileged", own, label)
                    self.assertEqual(set(container["resources"]["requests"]), {"cpu", "memory"}, label)
                    self.assertEqual(set(container["resources"]["limits"]), {"memory"}, label)
                    self.assertNotIn(container["image"].rpartition(":")[2], ("", "latest"), label)

    def test_a_user_by_number(self):
        """The kubelet cannot tell whether a user with a name is root."""
        dockerfile = (ROOT.parents[1] / "Dockerfile").read_text()
        for overlay in OVERLAYS:
            pod, container = proxy(overlay)
            user = {**pod["spec"]["securityContext"], **container["securityContext"]}
            self.assertIn(f"USER {user['runAsUser']}:{user['runAsGroup']}\n", dockerfile)

    def test_probes(self):
        for overlay in OVERLAYS:
            _, container = proxy(overlay)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            listen = settings(overlay)["listen"]
            self.assertEqual(ports, {"http": port_of(listen["traffic"][0]), "admin": port_of(listen["admin"])})
            self.assertNotIn("127.0.0.1", listen["admin"], "probes come over the network")
            paths = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
            self.assertEqual(
                paths,
                {
                    "startupProbe": {"path": "/livez", "port": "admin"},
                    "livenessProbe": {"path": "/livez", "port": "admin"},
                    "readinessProbe": {"path": "/readyz", "port": "admin"},
                },
            )

    def test_time_to_drain(self):
        for overlay in OVERLAYS:
            pod, container = proxy(overlay)
            server = settings(overlay)["server"]
            hooks = [c.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) for c in containers(pod)]
            needed = max(hooks) + server["lame_duck_seconds"] + server["drain_seconds"]
            self.assertGreaterEqual(pod["spec"]["terminationGracePeriodSeconds"], needed + 5)
            self.assertNotIn("lifecycle", container, "the proxy waits by itself")
            probe = container["readinessProbe"]
            noticed = probe["periodSeconds"] * probe["failureThreshold"]
            self.assertGreater(max(hooks) + server["lame_duck_seconds"], noticed)

    def test_files(self):
        for overlay in OVERLAYS:
            pod, container = proxy(overlay)
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            self.assertTrue(all(mount["readOnly"] and "subPath" not in mount for mount in mounts.values()))
            volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
            (config,) = of_kind(overlay, "ConfigMap")
            self.assertEqual(volumes["config"]["configMap"]["name"], config["metadata"]["name"])
            self.assertEqual(mounts["config"]["mountPath"], "/etc/consentry", "where the image looks")
            key = settings(overlay)["consent"]["signing_key"]
            self.assertEqual(key, mounts["keys"]["mountPath"] + "/consent.key")
            secret = volumes["keys"]["secret"]
            self.assertEqual(secret["defaultMode"], 0o440)
            self.assertNotIn("optional", secret)
            self.assertFalse(of_kind(overlay, "Secret"), "a key that is shipped is no key")
            self.assertEqual(pod["spec"]["securityContext"]["fsGroup"], 65532)

    def test_sidecar(self):
        pod, container = proxy("sidecar")
        self.assertIn(container, pod["spec"]["initContainers"])
        self.assertEqual(container["restartPolicy"], "Always")
        self.assertEqual(settings("sidecar")["server"]["lame_duck_seconds"], 0, "the application has ended by then")

    def test_services_and_policies_lead_to_the_proxy(self):
        for overlay in OVERLAYS:
            pod, container = proxy(overlay)
            labels = pod["metadata"]["labels"]
            ports = {port["containerPort"] for port in container["ports"]}
            services = of_kind(overlay, "Service")
            self.assertEqual(len(services), 2)
            for service in services:
                self.assertTrue(selects(service["spec"]["selector"], labels))
                self.assertTrue({port["targetPort"] for port in service["spec"]["ports"]} <= ports)
                admin = any(port["targetPort"] == 9900 for port in service["spec"]["ports"])
                self.assertEqual(admin, service["spec"].get("clusterIP") == "None", "the admin port has no address")
            policies = of_kind(overlay, "NetworkPolicy")
            open_to_all = set()
            for policy in policies:
                self.assertTrue(selects(policy["spec"]["podSelector"]["matchLabels"], labels))
                self.assertIn("Ingress", policy["spec"]["policyTypes"])
                for rule in policy["spec"]["ingress"]:
                    if "from" not in rule:
                        open_to_all |= {port["port"] for port in rule["ports"]}
            self.assertEqual(open_to_all, {port_of(address) for address in settings(overlay)["listen"]["traffic"]})

    def test_service_monitor(self):
        for overlay in OVERLAYS:
            (monitor,) = of_kind(overlay, "ServiceMonitor")
            chosen = [
                service
                for service in of_kind(overlay, "Service")
                if selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
            ]
            (service,) = chosen
            (endpoint,) = monitor["spec"]["endpoints"]
            self.assertIn(endpoint["port"], [port["name"] for port in service["spec"]["ports"]])

    def test_replicas(self):
        (scaler,) = of_kind("ingress", "HorizontalPodAutoscaler")
        (deployment,) = of_kind("ingress", "Deployment")
        self.assertEqual(scaler["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"])
        self.assertGreaterEqual(scaler["spec"]["minReplicas"], 2)
        self.assertNotIn("replicas", deployment["spec"], "each apply would undo what the autoscaler did")
        (budget,) = of_kind("ingress", "PodDisruptionBudget")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        self.assertTrue(selects(budget["spec"]["selector"]["matchLabels"], labels))
        self.assertEqual(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
