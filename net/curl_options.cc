#include <curl/curl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "net/curl_transport.h"
#include "net/curl_url.h"

namespace midwatch {
namespace {

absl::Status CheckProxy(const std::string& proxy) {
  UniqueCurlUrl url(curl_url());
  CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, proxy.c_str(), 0);
  std::string scheme = UrlPart(url.get(), CURLUPART_SCHEME);
  if (code == CURLUE_OK && (scheme == "http" || scheme == "https")) {
    return absl::OkStatus();
  }
  // What it is stays unsaid: there may be a password in it.
  return absl::InvalidArgumentError(
      "the proxy's address is no http or https URL; expected "
      "http://host:port");
}

absl::Status CheckCaFile(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read the CA file ", path, ": ", std::strerror(errno)));
  }
  X509* certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the CA file ", path,
                     " does not begin with a certificate; expected PEM "
                     "(-----BEGIN CERTIFICATE-----)"));
  }
  X509_free(certificate);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCurlTransportOptions(const CurlTransportOptions& options) {
  if (!options.proxy.empty()) {
    absl::Status status = CheckProxy(options.proxy);
    if (!status.ok()) return status;
  }
  return options.ca_file.empty() ? absl::OkStatus()
                                 : CheckCaFile(options.ca_file);
}

std::string ShownProxy(const std::string& proxy) {
  if (proxy.empty()) return "";
  UniqueCurlUrl url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, proxy.c_str(), 0) != CURLUE_OK) {
    return "(no URL)";
  }
  for (CURLUPart secret : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                           CURLUPART_FRAGMENT}) {
    curl_url_set(url.get(), secret, nullptr, 0);
  }
  return UrlPart(url.get(), CURLUPART_URL);
}

}  // namespace midwatch
