import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Iterator;

/** NioEcho PORT: one selector; a client waits for writability while its buffer is not written. */
final class NioEcho {
    private static final int BUFFER_BYTES = 64 * 1024;
    private static final int BACKLOG = 4096;

    public static void main(String[] arguments) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        int port = Integer.parseInt(arguments[0]);
        listener.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), BACKLOG);
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select();
            Iterator<SelectionKey> ready = selector.selectedKeys().iterator();
            while (ready.hasNext()) {
                SelectionKey key = ready.next();
                ready.remove();
                if (key.isAcceptable()) {
                    accept(selector, listener);
                } else {
                    echo(key);
                }
            }
        }
    }

    private static void accept(Selector selector, ServerSocketChannel listener) {
        try {
            SocketChannel client = listener.accept();
            if (client != null) {
                client.configureBlocking(false);
                client.setOption(StandardSocketOptions.TCP_NODELAY, true);
                ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);
                client.register(selector, SelectionKey.OP_READ, buffer);
            }
        } catch (IOException error) {
            System.err.println("cannot accept: " + error.getMessage());
        }
    }

    private static void echo(SelectionKey key) throws IOException {
        SocketChannel client = (SocketChannel) key.channel();
        ByteBuffer buffer = (ByteBuffer) key.attachment();
        try {
            if (key.isReadable()) {
                if (client.read(buffer) < 0) {
                    client.close();
                    return;
                }
                buffer.flip();
            }
            client.write(buffer);
            if (buffer.hasRemaining()) {
                key.interestOps(SelectionKey.OP_WRITE);
            } else {
                buffer.clear();
                key.interestOps(SelectionKey.OP_READ);
            }
        } catch (IOException error) {
            client.close();
        }
    }

    private NioEcho() {}
}
