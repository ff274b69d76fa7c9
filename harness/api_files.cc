#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/disk.h"
#include "harness/multipart.h"
#include "harness/page.h"

namespace midwatch::harness {
namespace {

struct Upload {
  File file;
  absl::Duration expires_in = absl::InfiniteDuration();
};

// A file's bytes, as long as it lives. Large bodies are not read into memory.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info;
    if (fd.get() < 0 || fstat(fd.get(), &info) != 0) return;
    size_ = static_cast<size_t>(info.st_size);
    bytes_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  }
  ~MappedFile() {
    if (bytes_ != MAP_FAILED) munmap(bytes_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::StatusOr<absl::string_view> bytes() const {
    if (bytes_ == MAP_FAILED) {
      return absl::InternalError("the request's body cannot be read");
    }
    return absl::string_view(static_cast<const char*>(bytes_), size_);
  }

 private:
  void* bytes_ = MAP_FAILED;
  size_t size_ = 0;
};

// Stores the part `file` of the form at `path`. Blocks.
absl::StatusOr<Upload> StoreUpload(const std::string& content_type,
                                   absl::string_view body,
                                   const std::string& path) {
  ASSIGN_OR_RETURN(std::vector<FormPart> parts, ParseForm(content_type, body));
  Upload upload;
  const FormPart* content = nullptr;
  for (const FormPart& part : parts) {
    int64_t seconds = 0;
    if (part.name == "file") {
      content = &part;
    } else if (part.name == "expires_in_seconds") {
      if (!absl::SimpleAtoi(part.content, &seconds) || seconds < 3600 ||
          seconds > 7'776'000) {
        return InvalidRequest("expires_in_seconds: must be 3600 to 7776000");
      }
      upload.expires_in = absl::Seconds(seconds);
    } else {
      return InvalidRequest(absl::StrCat(part.name, ": unknown field"));
    }
  }
  if (content == nullptr) return InvalidRequest("file: missing");
  upload.file.filename =
      ValidUtf8(content->filename.empty() ? "file" : content->filename);
  upload.file.mime_type = content->content_type.empty()
                              ? MimeTypeOf(upload.file.filename)
                              : ValidUtf8(content->content_type);
  ASSIGN_OR_RETURN(StoredFile stored, StoreBytes(content->content, path));
  upload.file.size_bytes = stored.size_bytes;
  upload.file.sha256 = stored.sha256;
  return upload;
}

}  // namespace

Async<absl::StatusOr<Json>> Api::UploadFile(const Call& call) {
  const std::string id = core_->db->NewId("file_");
  absl::AnyInvocable<absl::StatusOr<Upload>()> store =
      [&request = call.request,
       path = core_->files.PathOf(id)]() -> absl::StatusOr<Upload> {
    std::string type(HeaderValue(request.headers, "content-type"));
    if (request.body_path.empty()) {
      return StoreUpload(type, request.body, path);
    }
    MappedFile spooled(request.body_path);
    ASSIGN_OR_RETURN(absl::string_view bytes, spooled.bytes());
    return StoreUpload(type, bytes, path);
  };
  CO_ASSIGN_OR_RETURN(Upload upload,
                      co_await RunBlocking<absl::StatusOr<Upload>>(
                          core_->pool, core_->executor, std::move(store)));
  File& file = upload.file;
  file.id = id;
  file.created_at = core_->db->Stamp();
  if (upload.expires_in != absl::InfiniteDuration()) {
    file.expires_at =
        file.created_at + absl::ToInt64Microseconds(upload.expires_in);
  }
  FaultPoint("harness.file.before");
  CO_RETURN_IF_ERROR(core_->files.Insert(file));
  FaultPoint("harness.file.after");
  co_return ToJson(file);
}

absl::StatusOr<Json> Api::ListFiles(const Call& call) {
  const QueryParams& query = call.request.query;
  std::vector<std::string> ids = QueryArray(query, "ids");
  if (!ids.empty()) {
    if (ids.size() > 100 || !QueryText(query, "page").empty() ||
        !QueryText(query, "limit").empty()) {
      return InvalidRequest("ids[]: up to 100, without page and limit");
    }
    Json data = Json::array();
    for (const std::string& id : ids) {
      absl::StatusOr<File> file = core_->files.Get(id);
      if (absl::IsNotFound(file.status())) continue;
      RETURN_IF_ERROR(file.status());
      data.push_back(ToJson(*file));
    }
    return Json{{"data", std::move(data)}, {"next_page", nullptr}};
  }
  PageRules rules;
  rules.max_limit = 1000;
  ASSIGN_OR_RETURN(PageQuery page, ParsePageQuery(query, rules));
  ASSIGN_OR_RETURN(std::vector<File> files,
                   core_->files.List(QueryText(query, "scope_id"), page));
  std::vector<std::pair<int64_t, Json>> rows;
  for (const File& file : files) {
    rows.emplace_back(file.created_at, ToJson(file));
  }
  return MakePage(page, std::move(rows), false);
}

absl::StatusOr<Json> Api::GetFile(const Call& call) {
  ASSIGN_OR_RETURN(File file, core_->files.Get(call.ids[0]));
  return ToJson(file);
}

Async<absl::Status> Api::DownloadFile(const Call& call,
                                      ServerResponder& reply) {
  CO_ASSIGN_OR_RETURN(File file, core_->files.Get(call.ids[0]));
  if (!file.downloadable) {
    co_return InvalidRequest(
        absl::StrCat(file.id,
                     " was uploaded, and only outputs of sessions can "
                     "be downloaded"),
        "file_not_downloadable");
  }
  HttpHeaders headers = AnswerHeaders(call.request_id, file.mime_type);
  std::string path = core_->files.PathOf(file.id);
  (void)co_await reply.SendFile(200, std::move(headers), std::move(path));
  co_return absl::OkStatus();
}

absl::StatusOr<Json> Api::DeleteFile(const Call& call) {
  ASSIGN_OR_RETURN(File file, core_->files.Get(call.ids[0]));
  RETURN_IF_ERROR(core_->files.Delete(file.id));
  core_->RemoveLater({core_->files.PathOf(file.id)});
  return Json{{"id", file.id}, {"type", "file_deleted"}};
}

}  // namespace midwatch::harness
