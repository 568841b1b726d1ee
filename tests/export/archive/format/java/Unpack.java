import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** What java.util.zip.ZipInputStream unpacks: for each path on stdin a line of JSON with the SHA-256 of each file. */
public final class Unpack {
    public static void main(String[] arguments) throws Exception {
        BufferedReader paths = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String path = paths.readLine(); path != null; path = paths.readLine()) {
            System.out.println(unpack(path));
        }
    }

    private static String unpack(String path) throws Exception {
        Map<String, String> files = new LinkedHashMap<>();
        String error = null;
        try (InputStream file = new FileInputStream(path); ZipInputStream zip = new ZipInputStream(file)) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                if (!entry.isDirectory()) {
                    MessageDigest digest = MessageDigest.getInstance("SHA-256");
                    try {
                        read(zip, digest);
                    } finally { // what was read before an error was written
                        files.put(entry.getName(), hex(digest.digest()));
                    }
                }
            }
        } catch (IOException | RuntimeException caught) {
            error = caught.toString();
        }
        StringBuilder line = new StringBuilder("{\"error\": ");
        line.append(error == null ? "null" : quoted(error)).append(", \"files\": {");
        String separator = "";
        for (Map.Entry<String, String> one : files.entrySet()) {
            line.append(separator).append(quoted(one.getKey())).append(": ").append(quoted(one.getValue()));
            separator = ", ";
        }
        return line.append("}}").toString();
    }

    private static void read(InputStream content, MessageDigest digest) throws IOException {
        byte[] block = new byte[8192];
        for (int count = content.read(block); count >= 0; count = content.read(block)) {
            digest.update(block, 0, count);
        }
    }

    private static String hex(byte[] digest) {
        StringBuilder text = new StringBuilder();
        for (byte one : digest) {
            text.append(String.format("%02x", one));
        }
        return text.toString();
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one < ' ' || one > '~' || one == '"' || one == '\\') {
                quoted.append(String.format("\\u%04x", (int) one));
            } else {
                quoted.append(one);
            }
        }
        return quoted.append('"').toString();
    }
}
