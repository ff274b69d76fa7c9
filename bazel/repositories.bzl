"""External repositories without a network: Debian's libraries under the labels
that their own Bazel builds use, and stand-ins for what Bazel 4 would fetch."""

# repository -> {label in it: module of pkg-config, "" for headers alone}.
_LIBRARIES = {
    "boost": {"//:headers": ""},
    "cli11": {"//:cli11": "CLI11"},
    "com_github_grpc_grpc": {"//:grpc++": "grpc++"},
    "com_google_absl": {
        "//absl/container:flat_hash_set": "absl_flat_hash_set",
        "//absl/functional:any_invocable": "absl_any_invocable",
        "//absl/functional:function_ref": "absl_function_ref",
        "//absl/status:status": "absl_status",
        "//absl/status:statusor": "absl_statusor",
        "//absl/strings:cord": "absl_cord",
        "//absl/strings:str_format": "absl_str_format",
        "//absl/strings:strings": "absl_strings",
        "//absl/synchronization:synchronization": "absl_synchronization",
        "//absl/time:time": "absl_time",
    },
    "com_google_googletest": {
        "//:gtest": "gmock",
        "//:gtest_main": "gmock gtest_main",
    },
    "com_google_protobuf": {"//:protobuf": "protobuf"},
    "curl": {"//:curl": "libcurl"},
    "jemalloc": {"//:jemalloc": "jemalloc"},
    "libseccomp": {"//:seccomp": "libseccomp"},
    "nlohmann_json": {"//:json": "nlohmann_json"},
    "openssl": {"//:crypto": "libcrypto", "//:ssl": "libssl"},
    "sqlite": {"//:sqlite": "sqlite3"},
    "valijson": {"//:valijson": ""},
    "yaml_cpp": {"//:yaml-cpp": "yaml-cpp"},
    "zstd": {"//:zstd": "libzstd"},
}

_LIBRARY = """
cc_library(
    name = "{name}",
    linkopts = {linkopts},
    visibility = ["//visibility:public"],
)
"""

def _linkopts(ctx, modules):
    if not modules:
        return []
    result = ctx.execute(["pkg-config", "--libs"] + modules.split(" "))
    if result.return_code != 0:
        fail("pkg-config {}: {} (./dev deps installs what is needed)".format(
            modules,
            result.stderr.strip(),
        ))

    # pkg-config names all that these depend on, which few programs need.
    return ["-Wl,--as-needed"] + result.stdout.strip().split(" ")

def _system_libraries_impl(ctx):
    packages = {}
    for label, modules in ctx.attr.libraries.items():
        package, name = label[len("//"):].split(":")
        packages[package] = packages.get(package, "") + _LIBRARY.format(
            name = name,
            linkopts = repr(_linkopts(ctx, modules)),
        )
    for package, content in packages.items():
        ctx.file(ctx.path(package).get_child("BUILD.bazel") if package else "BUILD.bazel", content)

# Headers are in the compiler's own path, so a library is its link flags.
_system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    attrs = {"libraries": attr.string_dict(mandatory = True)},
    configure = True,
)

def _files_impl(ctx):
    for path, content in ctx.attr.files.items():
        ctx.file(path, content)

_files = repository_rule(
    implementation = _files_impl,
    attrs = {"files": attr.string_dict(mandatory = True)},
)

# Debian's bazel-rules-cc does not load in Bazel 4.2.
_RULES_CC = "".join([
    "def {rule}(**kwargs):\n    native.{rule}(**kwargs)\n\n".format(rule = rule)
    for rule in [
        "cc_binary",
        "cc_import",
        "cc_library",
        "cc_proto_library",
        "cc_test",
        "cc_toolchain",
        "cc_toolchain_suite",
        "objc_library",
    ]
])

# Every cc_test wants these two to exist; only `bazel coverage` runs them.
_COVERAGE_TOOLS = """
[
    sh_binary(
        name = name,
        srcs = ["none.sh"],
        visibility = ["//visibility:public"],
    )
    for name in ["coverage_report_generator", "lcov_merger"]
]
"""

def midwatch_repositories():
    """Defines every repository that a build of everything asks for."""
    for name, libraries in _LIBRARIES.items():
        _system_libraries(name = name, libraries = libraries)

    # Bazel leaves alone what the workspace defines, and fetches the rest.
    for name, path in {
        "platforms": "/usr/share/bazel/tools/platforms",
        "rules_java": "/usr/share/bazel/rules/java",
        "rules_proto": "/usr/share/bazel/rules/proto",
    }.items():
        native.local_repository(name = name, path = path)
    _files(
        name = "rules_cc",
        files = {"BUILD.bazel": "", "cc/BUILD.bazel": "", "cc/defs.bzl": _RULES_CC},
    )
    _files(
        name = "remote_coverage_tools",
        files = {"BUILD.bazel": _COVERAGE_TOOLS, "none.sh": "exit 1"},
    )
