#ifndef MIDWATCH_TESTS_NET_TLS_SERVER_H_
#define MIDWATCH_TESTS_NET_TLS_SERVER_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "base/thread.h"

namespace midwatch {

// An HTTPS server for one connection, with a certificate that it signed itself.
class TlsServer {
 public:
  explicit TlsServer(const std::string& host)
      : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    Certify(host);
    SSL_CTX_use_certificate(context_, certificate_);
    SSL_CTX_use_PrivateKey(context_, key_);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, generic, size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = Thread("tls-server", [this] { Serve(); });
  }

  ~TlsServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.Join();
    close(listener_);
    SSL_CTX_free(context_);
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }

  int port() const { return port_; }
  int requests() const { return requests_; }

  void WriteCertificate(const std::string& path) const {
    FILE* file = fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    PEM_write_X509(file, certificate_);
    fclose(file);
  }

 private:
  void Certify(const std::string& host) {
    X509_set_version(certificate_, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 3600);
    X509_set_pubkey(certificate_, key_);
    X509_NAME* name = X509_get_subject_name(certificate_);
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC,
        reinterpret_cast<const unsigned char*>(host.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate_, name);
    X509_EXTENSION* alternative = X509V3_EXT_conf_nid(
        nullptr, nullptr, NID_subject_alt_name, ("DNS:" + host).c_str());
    X509_add_ext(certificate_, alternative, -1);
    X509_EXTENSION_free(alternative);
    X509_sign(certificate_, key_, EVP_sha256());
  }

  void Serve() {
    int socket = accept(listener_, nullptr, nullptr);
    if (socket < 0) return;
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, socket);
    char bytes[4096];
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, bytes, sizeof bytes) > 0) {
      ++requests_;
      const std::string answer =
          "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
      SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
      SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(socket);
  }

  EVP_PKEY* key_;
  X509* certificate_;
  SSL_CTX* context_ = SSL_CTX_new(TLS_server_method());
  int listener_ = socket(AF_INET, SOCK_STREAM, 0);
  int port_ = 0;
  std::atomic<int> requests_{0};
  Thread thread_;
};

}  // namespace midwatch

#endif  // MIDWATCH_TESTS_NET_TLS_SERVER_H_
