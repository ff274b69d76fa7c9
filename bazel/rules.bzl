"""The rules of BUILD files: the twins of cmake/MidwatchRules.cmake, and like it
the only place where compiler flags live for their build."""

# The version of CMakeLists.txt.
MIDWATCH_VERSION = "0.1.0"

# Those of cmake/MidwatchRules.cmake, where the exceptions are explained.
_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wimplicit-fallthrough",
    "-Werror",
    "-Wno-missing-field-initializers",
    "-Wno-maybe-uninitialized",
    "-Wno-mismatched-new-delete",
]

_LANGUAGE = [
    "-std=c++20",
    # Assertions stay on in what is shipped, as in the CMake build.
    "-UNDEBUG",
]

_COPTS = _LANGUAGE + _WARNINGS

def midwatch_cc_library(name, srcs = [], hdrs = [], deps = [], **kwargs):
    """A static library. Headers are included by their path from the root."""
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = _COPTS,
        deps = deps,
        **kwargs
    )

def midwatch_cc_binary(name, srcs, deps = [], **kwargs):
    """An executable."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = _COPTS,
        deps = ["@jemalloc"] + deps,
        **kwargs
    )

def midwatch_cc_test(name, srcs, deps = [], **kwargs):
    """A GoogleTest binary, with what every test may include."""
    native.cc_test(
        name = name,
        srcs = srcs,
        copts = _COPTS,
        deps = deps + [
            "//tests/testing",
            "@com_google_googletest//:gtest_main",
        ],
        **kwargs
    )

def midwatch_fuzz_target(name, srcs, runs, deps):
    """A fuzz target as a test: its corpus, and `runs` mutations of it."""
    native.cc_test(
        name = name,
        srcs = srcs + ["standalone_main.cc"],
        copts = _COPTS,
        args = [native.package_name() + "/corpus/" + name, str(runs)],
        data = native.glob(["corpus/" + name + "/*"]),
        deps = deps,
    )

def midwatch_command_test(name, command, **kwargs):
    """A command, as a list of words: fails if it exits with other than 0."""
    native.sh_test(
        name = name,
        srcs = ["//bazel:command_test.sh"],
        args = command,
        **kwargs
    )

def midwatch_py_test(name, src, args = [], data = [], **kwargs):
    """A Python script as a test. Debian's own interpreter runs it: its modules
    (python3-grpcio, elsewhere) are not another's."""
    midwatch_command_test(
        name = name,
        command = ["/usr/bin/python3", "$(rootpath {})".format(src)] + args,
        data = [src] + data,
        **kwargs
    )

def _protoc_library(name, protos, srcs, outs, flags, deps, **kwargs):
    """Runs protoc over `srcs`; `outs` are the endings of what it makes."""
    stems = [src[:-len(".proto")] for src in srcs]
    sources = [stem + end + ".cc" for stem in stems for end in outs]
    headers = [stem + end + ".h" for stem in stems for end in outs]
    native.genrule(
        name = name + "_generated",
        srcs = protos,
        outs = sources + headers,
        cmd = "protoc -I{} {} {}".format(
            native.package_name(),
            flags,
            " ".join(["$(location {})".format(src) for src in srcs]),
        ),
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        copts = _LANGUAGE,
        # As a system path: generated code is not held to our warnings.
        includes = ["."],
        deps = deps,
        **kwargs
    )

def midwatch_proto_library(name, srcs, **kwargs):
    """The messages of .proto files, included by their path from this package."""
    _protoc_library(
        name = name,
        protos = srcs,
        srcs = srcs,
        outs = [".pb"],
        flags = "--cpp_out=$(RULEDIR)",
        deps = ["@com_google_protobuf//:protobuf"],
        **kwargs
    )

def midwatch_grpc_library(name, srcs, imports, deps, **kwargs):
    """The services of .proto files, which may import `imports`. `deps` are
    libraries with their messages."""
    _protoc_library(
        name = name,
        protos = imports,
        srcs = srcs,
        outs = [".grpc.pb"],
        flags = "--grpc_out=$(RULEDIR) " +
                "--plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin)",
        deps = deps + ["@com_github_grpc_grpc//:grpc++"],
        **kwargs
    )
