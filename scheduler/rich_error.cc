#include "scheduler/rich_error.h"

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "base/utf8.h"
#include "google/rpc/error_details.pb.h"

namespace midwatch {
namespace {

template <typename Detail>
std::string UrlOf() {
  return absl::StrCat("type.googleapis.com/",
                      Detail::descriptor()->full_name());
}

template <typename Detail>
void SetDetail(absl::Status& status, const Detail& detail) {
  status.SetPayload(UrlOf<Detail>(), absl::Cord(detail.SerializeAsString()));
}

// Names and indexes: "spec.labels[team]".
bool IsPath(absl::string_view text) {
  for (unsigned char c : text) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("_.[]-/", c))
      return false;
  }
  return !text.empty();
}

}  // namespace

void FieldViolations::AddText(std::string field, std::string why) {
  constexpr size_t kWhyBytesMax = 300;
  if (why.size() > kWhyBytesMax) {
    why = absl::StrCat(CutUtf8(why, kWhyBytesMax), "...");
  }
  ++count_;
  bytes_ += field.size() + why.size();
  if (bytes_ > kBytesMax && !violations_.empty()) return;
  violations_.emplace_back(std::move(field), std::move(why));
}

void FieldViolations::Add(const absl::Status& status) {
  if (status.ok()) return;
  absl::string_view text = status.message();
  size_t colon = text.find(": ");
  if (colon == text.npos || !IsPath(text.substr(0, colon))) {
    return AddText("", std::string(text));
  }
  AddText(std::string(text.substr(0, colon)),
          std::string(text.substr(colon + 2)));
}

void FieldViolations::AddAll(absl::string_view prefix,
                             const FieldViolations& inner) {
  for (const auto& [field, why] : inner.violations_) {
    AddText(absl::StrCat(prefix, field), why);
  }
  count_ += inner.count_ - inner.violations_.size();
}

absl::Status FieldViolations::ToStatus() const {
  if (empty()) return absl::OkStatus();
  google::rpc::BadRequest details;
  std::string text;
  for (const auto& [field, why] : violations_) {
    auto& violation = *details.add_field_violations();
    violation.set_field(field);
    violation.set_description(why);
    absl::StrAppend(&text, text.empty() ? "" : "\n", field,
                    field.empty() ? "" : ": ", why);
  }
  if (count_ > violations_.size()) {
    absl::StrAppend(&text, "\nand ", count_ - violations_.size(), " more");
  }
  absl::Status status = absl::InvalidArgumentError(text);
  SetDetail(status, details);
  return status;
}

absl::Status WithResource(absl::Status status, absl::string_view type,
                          absl::string_view name) {
  return absl::IsNotFound(status) ? AboutResource(std::move(status), type, name)
                                  : status;
}

absl::Status AboutResource(absl::Status status, absl::string_view type,
                           absl::string_view name) {
  google::rpc::ResourceInfo resource;
  resource.set_resource_type(std::string(type));
  resource.set_resource_name(std::string(name));
  resource.set_description(std::string(status.message()));
  SetDetail(status, resource);
  return status;
}

absl::Status WithDetails(absl::Status status) {
  if (absl::IsInvalidArgument(status) &&
      !status.GetPayload(UrlOf<google::rpc::BadRequest>()).has_value()) {
    FieldViolations wrong;
    wrong.Add(status);
    return wrong.ToStatus();
  }
  int64_t seconds = 0;
  if (absl::IsUnavailable(status)) seconds = 1;
  if (absl::IsResourceExhausted(status)) seconds = 30;
  if (seconds > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(seconds);
    SetDetail(status, retry);
  }
  return status;
}

}  // namespace midwatch
