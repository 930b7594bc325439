/* A compiled runtime: answers each event with itself, over one connection that it keeps, and counts in a header of the
 * answer's text how many it has answered. Built by tests/it/invoke.rs. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[8 << 20];

/* Reads an answer whole and returns its body; *length is the body's. */
static char *answer(int fd, size_t *length)
{
    size_t have = 0;
    for (;;) {
        ssize_t got = read(fd, buffer + have, sizeof buffer - 1 - have);
        if (got <= 0)
            exit(4);
        have += (size_t)got;
        buffer[have] = 0;
        char *body = strstr(buffer, "\r\n\r\n");
        if (!body)
            continue;
        *length = strtoul(strstr(buffer, "Content-Length:") + 15, NULL, 10);
        body += 4;
        if ((size_t)(buffer + have - body) >= *length)
            return body;
    }
}

static void all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t put = write(fd, text, length);
        if (put <= 0)
            exit(5);
        text += put;
        length -= (size_t)put;
    }
}

int main(void)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons((unsigned short)atoi(strchr(api, ':') + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        return 3;
    for (int round = 1;; round++) {
        const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n";
        all(fd, next, sizeof next - 1);
        size_t length;
        char *body = answer(fd, &length);
        char id[64], head[256], count[16];
        sscanf(strstr(buffer, "Aws-Request-Id:") + 15, "%60s", id);
        int digits = snprintf(count, sizeof count, "%d:", round);
        int written = snprintf(head, sizeof head,
                               "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s",
                               id, length + (size_t)digits, count);
        all(fd, head, (size_t)written);
        all(fd, body, length);
        answer(fd, &length);
    }
}
