// `retry.classes` of a batch file: what is otherwise for one class of failures.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/spec_reader.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kLongestBackoff = absl::Hours(24);

absl::Duration BackoffOf(const google::protobuf::Duration& backoff) {
  return absl::Seconds(backoff.seconds()) + absl::Nanoseconds(backoff.nanos());
}

}  // namespace

void SpecReader::ReadBackoff(const YAML::Node& node, absl::string_view what,
                             google::protobuf::Duration& backoff) {
  std::optional<std::string> text = Text(node, what);
  if (!text) return;
  absl::Duration duration;
  if (absl::ParseDuration(*text, &duration) && duration >= absl::Seconds(1) &&
      duration <= kLongestBackoff) {
    backoff.set_seconds(absl::ToInt64Seconds(duration));
    backoff.set_nanos(static_cast<int32_t>(
        (duration - absl::Seconds(backoff.seconds())) / absl::Nanoseconds(1)));
    return;
  }
  complaints_.Add(node.Mark(),
                  absl::StrCat(what, " is '", Printable(*text),
                               "'; expected a time such as 30s or 10m, from 1s "
                               "to 24h"));
}

void SpecReader::ReadClassRetry(const YAML::Node& node, const std::string& name,
                                v1::ClassRetry& rule) {
  ReadMap(node, name,
          {{"max_failures",
            [&](const YAML::Node& n) {
              if (auto v = Number(n, "max_failures", 1, 100)) {
                rule.set_max_failures(static_cast<int32_t>(*v));
              }
            }},
           {"backoff",
            [&](const YAML::Node& n) {
              ReadBackoff(n, "backoff", *rule.mutable_backoff());
            }},
           {"backoff_max",
            [&](const YAML::Node& n) {
              ReadBackoff(n, "backoff_max", *rule.mutable_backoff_max());
            }}},
          complaints_);
  if (rule.has_backoff() && rule.has_backoff_max() &&
      BackoffOf(rule.backoff_max()) > absl::ZeroDuration() &&
      BackoffOf(rule.backoff_max()) < BackoffOf(rule.backoff())) {
    complaints_.Add(node["backoff_max"].Mark(),
                    "backoff_max is less than backoff; expected no less");
  }
}

void SpecReader::ReadRetryClasses(const YAML::Node& node,
                                  v1::RetryPolicy& retry) {
  auto of = [&](const char* name, v1::FailureClass failure) {
    return YamlKey{name, [=, this, &retry](const YAML::Node& n) {
                     v1::ClassRetry& rule = *retry.add_classes();
                     rule.set_failure_class(failure);
                     ReadClassRetry(n, name, rule);
                   }};
  };
  ReadMap(node, "classes",
          {of("service", v1::FAILURE_CLASS_SERVICE),
           of("task", v1::FAILURE_CLASS_TASK),
           of("refusal", v1::FAILURE_CLASS_REFUSAL)},
          complaints_);
}

}  // namespace midwatch::cli
