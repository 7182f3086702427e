/* No peer but a floor: libpq straight to a socket, in C. Nobody should run this.
 *
 * The payload is cut by position and its time taken from the clock, a WebSocket frame has a mask of zeros and goes in
 * one write, nothing is read, an error ends it without a word. How long a row takes that only has to be passed on.
 */
#include <libpq-fe.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int connect_push(const char *url)
{
    char host[256], port[16], path[256], head[1024];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int one = 1, push;

    if (sscanf(url, "ws://%255[^:/]:%15[0-9]%255s", host, port, path) != 3 || getaddrinfo(host, port, &hints, &found))
        exit(1);
    push = socket(found->ai_family, SOCK_STREAM, 0);
    if (push < 0 || connect(push, found->ai_addr, found->ai_addrlen))
        exit(1);
    setsockopt(push, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    snprintf(head, sizeof head,
             "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", path, host, port);
    if (write(push, head, strlen(head)) < 0 || read(push, head, sizeof head) <= 0)
        exit(1);
    return push;
}

int main(void)
{
    int push = connect_push(getenv("PUSH_URL"));
    PGconn *postgres = PQconnectdb(getenv("DSN"));
    struct pollfd ready = {.events = POLLIN};

    PQclear(PQexec(postgres, "LISTEN influx_feed"));
    ready.fd = PQsocket(postgres);
    while (PQstatus(postgres) == CONNECTION_OK && poll(&ready, 1, -1) > 0) {
        PGnotify *notification;

        if (!PQconsumeInput(postgres))
            break;
        while ((notification = PQnotifies(postgres)) != NULL) {
            unsigned char frame[512];
            struct timespec now;
            const char *value = strrchr(notification->extra, ' ') + 1;
            int size;

            clock_gettime(CLOCK_REALTIME, &now);
            size = snprintf((char *)frame + 6, 120, "live_metrics value=%.*s %lld%09ld",
                            (int)strcspn(value, "}"), value, (long long)now.tv_sec, now.tv_nsec);
            frame[0] = 0x81;
            frame[1] = 0x80 | size;
            memset(frame + 2, 0, 4);
            if (write(push, frame, size + 6) != size + 6)
                return 1;
            PQfreemem(notification);
        }
    }
    return 1;
}
