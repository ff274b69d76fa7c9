#include "scheduler/rate_book.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "scheduler/field_checks.h"
#include "scheduler/to_proto.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

constexpr int kWishesMax = 16;
constexpr int kSlotsMax = 1000;
// The service's word is believed so far: a longer pause is a person's.
constexpr absl::Duration kStopMax = absl::Hours(1);

SlotPurpose PurposeOf(v1::SlotPurpose purpose) {
  switch (purpose) {
    case v1::SLOT_PURPOSE_URGENT:
      return SlotPurpose::kUrgent;
    case v1::SLOT_PURPOSE_SPARE:
      return SlotPurpose::kSpare;
    default:
      return SlotPurpose::kNormal;
  }
}

absl::Duration StopOf(const v1::RequestReport& report) {
  return std::clamp(FromDuration(report.retry_after()), absl::ZeroDuration(),
                    kStopMax);
}

v1::SlotGrant TakeSlots(RateBucket& bucket, absl::Duration now,
                        const v1::SlotWish& wish) {
  v1::SlotGrant grant;
  if (bucket.unlimited() && bucket.stopped_until() <= now) {
    grant.set_unlimited(true);
    return grant;
  }
  const SlotPurpose purpose = PurposeOf(wish.purpose());
  while (grant.offsets_size() < wish.count()) {
    std::optional<absl::Duration> slot = bucket.Take(now, purpose);
    if (!slot) {
      *grant.mutable_ask_again() =
          ToDuration(bucket.NextRoom(now, purpose) - now);
      break;
    }
    *grant.add_offsets() = ToDuration(*slot - now);
  }
  return grant;
}

absl::Status CheckWish(const v1::SlotWish& wish) {
  if (wish.request_class() <= v1::REQUEST_CLASS_UNSPECIFIED ||
      wish.request_class() > v1::REQUEST_CLASS_FILES ||
      wish.purpose() <= v1::SLOT_PURPOSE_UNSPECIFIED ||
      wish.purpose() > v1::SLOT_PURPOSE_SPARE) {
    return Bad("wishes: a class and a purpose are required");
  }
  if (wish.count() < 1 || wish.count() > kSlotsMax) {
    return Bad("wishes.count: ", wish.count(), "; expected 1 to ", kSlotsMax);
  }
  return absl::OkStatus();
}

absl::Status CheckLimit(const std::string& field,
                        const v1::RequestLimit& limit) {
  if (!(limit.per_minute() > 0 && limit.per_minute() <= 1e6)) {
    return Bad(field, ".per_minute: expected more than 0, at most 1000000");
  }
  if (limit.burst() < 0 || limit.burst() > 10'000) {
    return Bad(field, ".burst: expected 0 to 10000");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLimits(const v1::AccountLimits& limits) {
  const std::pair<const char*, const v1::RequestLimit*> all[] = {
      {"create", limits.has_create() ? &limits.create() : nullptr},
      {"write", limits.has_write() ? &limits.write() : nullptr},
      {"read", limits.has_read() ? &limits.read() : nullptr},
      {"files", limits.has_files() ? &limits.files() : nullptr}};
  for (const auto& [name, limit] : all) {
    if (limit == nullptr) continue;
    absl::Status status = CheckLimit(absl::StrCat("limits.", name), *limit);
    if (!status.ok()) return status;
  }
  if (limits.limit_group().empty()) return absl::OkStatus();
  return CheckName("limits.limit_group", limits.limit_group());
}

void RateBook::Know(const std::string& account) {
  accounts_.try_emplace(account, Account{account});
}

void RateBook::SetLimits(const v1::AccountLimits& limits) {
  Account& account = accounts_[limits.account()];
  account.group =
      limits.limit_group().empty() ? limits.account() : limits.limit_group();
  account.writes_apart = limits.has_write();
  SetLimit(account, v1::REQUEST_CLASS_CREATE, limits.create());
  if (limits.has_write()) {
    SetLimit(account, v1::REQUEST_CLASS_WRITE, limits.write());
  }
  SetLimit(account, v1::REQUEST_CLASS_READ, limits.read());
  SetLimit(account, v1::REQUEST_CLASS_FILES, limits.files());
}

void RateBook::SetLimit(const Account& account, v1::RequestClass request_class,
                        const v1::RequestLimit& limit) {
  int burst = limit.burst() > 0
                  ? limit.burst()
                  : static_cast<int>(std::ceil(limit.per_minute() / 60));
  Bucket(account, request_class)
      .SetLimit({limit.per_minute(), std::max(burst, 1)}, clock_.Steady());
}

RateBucket& RateBook::Bucket(const Account& account,
                             v1::RequestClass request_class) {
  if (request_class == v1::REQUEST_CLASS_WRITE && !account.writes_apart) {
    request_class = v1::REQUEST_CLASS_CREATE;
  }
  return buckets_
      .try_emplace({account.group, request_class}, RateLimit(), clock_.Steady())
      .first->second;
}

void RateBook::Note(const Account& account, const v1::RequestReport& report) {
  const absl::Duration now = clock_.Steady();
  RateBucket& bucket = Bucket(account, report.request_class());
  bucket.NoteAccepted(now, report.accepted());
  if (report.troubled() > 0) bucket.NoteTrouble(now);
  if (!report.has_retry_after()) return;
  const double before = bucket.rate_per_minute();
  bucket.NoteRefused(now, StopOf(report), std::max(report.refused(), 1));
  if (bucket.rate_per_minute() == before) return;
  LogWarning("rate lowered",
             {{"limit_group", account.group},
              {"class", v1::RequestClass_Name(report.request_class())},
              {"from_per_minute", before},
              {"to_per_minute", bucket.rate_per_minute()}});
}

void RateBook::AskSlots(const v1::AskSlotsRequest& request,
                        Reply<v1::AskSlotsResponse> reply) {
  auto found = accounts_.find(request.account());
  if (found == accounts_.end()) {
    return reply(absl::NotFoundError(
        "no worker has registered with this account: register first"));
  }
  if (request.wishes_size() > kWishesMax ||
      request.reports_size() > kWishesMax) {
    return reply(Bad("wishes and reports: at most ", kWishesMax, " each"));
  }
  for (const v1::SlotWish& wish : request.wishes()) {
    if (absl::Status status = CheckWish(wish); !status.ok()) {
      return reply(status);
    }
  }
  for (const v1::RequestReport& report : request.reports()) {
    Note(found->second, report);
  }
  v1::AskSlotsResponse response;
  for (const v1::SlotWish& wish : request.wishes()) {
    *response.add_grants() = TakeSlots(
        Bucket(found->second, wish.request_class()), clock_.Steady(), wish);
  }
  reply(std::move(response));
}

void RateBook::Describe(v1::Account& account) const {
  auto known = accounts_.find(account.name());
  if (known == accounts_.end()) return;
  const absl::Duration now = clock_.Steady();
  account.set_limit_group(known->second.group);
  for (const auto& [key, bucket] : buckets_) {
    if (key.first != known->second.group) continue;
    const bool used = bucket.AcceptedLately(now) > 0 || bucket.refused() > 0;
    if (bucket.unlimited() && !used) continue;
    v1::RequestRate& rate = *account.add_rates();
    rate.set_request_class(key.second);
    rate.set_limit_per_minute(bucket.limit().per_minute);
    rate.set_allowed_per_minute(bucket.rate_per_minute());
    rate.set_accepted(bucket.AcceptedLately(now));
    rate.set_refused(bucket.refused());
    if (bucket.stopped_until() > now) {
      *rate.mutable_resting_until() =
          ToTimestamp(clock_.Now() + (bucket.stopped_until() - now));
    }
  }
}

void RateBook::DescribeStarts(const std::string& account,
                              ServingFacts& serving) const {
  const RateBucket* bucket = FindCreates(account);
  if (bucket == nullptr) return;
  const absl::Duration now = clock_.Steady();
  // Without a rate of their own, each session's message takes as much.
  serving.creates_per_minute =
      bucket->rate_per_minute() / (accounts_.at(account).writes_apart ? 1 : 2);
  serving.until_create = bucket->NextRoom(now, SlotPurpose::kStart) - now;
  serving.resting = bucket->stopped_until() > now;
}

void RateBook::DescribeLimits(const std::string& account,
                              v1::AccountLimits& limits) const {
  auto known = accounts_.find(account);
  if (known == accounts_.end()) return;
  limits.set_account(account);
  limits.set_limit_group(known->second.group);
  for (const auto& [key, bucket] : buckets_) {
    if (key.first != known->second.group || bucket.unlimited()) continue;
    v1::RequestLimit& limit =
        key.second == v1::REQUEST_CLASS_CREATE  ? *limits.mutable_create()
        : key.second == v1::REQUEST_CLASS_WRITE ? *limits.mutable_write()
        : key.second == v1::REQUEST_CLASS_READ  ? *limits.mutable_read()
                                                : *limits.mutable_files();
    limit.set_per_minute(bucket.rate_per_minute());
    limit.set_burst(bucket.limit().burst);
  }
}

const RateBucket* RateBook::FindCreates(const std::string& account) const {
  auto known = accounts_.find(account);
  if (known == accounts_.end()) return nullptr;
  auto bucket = buckets_.find({known->second.group, v1::REQUEST_CLASS_CREATE});
  return bucket == buckets_.end() ? nullptr : &bucket->second;
}

StartRoom RateBook::RoomOf(const std::vector<std::string>& accounts,
                           int most) const {
  const absl::Duration now = clock_.Steady();
  StartRoom room;
  for (const std::string& account : accounts) {
    const RateBucket* bucket = FindCreates(account);
    if (bucket == nullptr) continue;
    if (bucket->unlimited() && bucket->stopped_until() <= now) continue;
    room[account] = bucket->Room(now, SlotPurpose::kStart, most);
  }
  return room;
}

absl::Duration RateBook::UntilRoom(
    const std::vector<std::string>& accounts) const {
  const absl::Duration now = clock_.Steady();
  absl::Duration soonest = absl::InfiniteDuration();
  for (const std::string& account : accounts) {
    const RateBucket* bucket = FindCreates(account);
    if (bucket == nullptr) continue;
    soonest =
        std::min(soonest, bucket->NextRoom(now, SlotPurpose::kStart) - now);
  }
  return soonest;
}

absl::Duration RateBook::TakeStart(const std::string& account) {
  Know(account);
  const absl::Duration now = clock_.Steady();
  return Bucket(accounts_[account], v1::REQUEST_CLASS_CREATE).TakeNext(now) -
         now;
}

}  // namespace midwatch
