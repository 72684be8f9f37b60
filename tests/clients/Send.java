// Jakarta Mail, which most EHRs in Java send with, sends each kind of message by both doors. What it sent lies afterwards
// in the folder SENT.
//
// With TRUST=no it is given no authority to trust, and has to turn away from both doors.

import jakarta.activation.DataHandler;
import jakarta.mail.Message;
import jakarta.mail.MessagingException;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeBodyPart;
import jakarta.mail.internet.MimeMessage;
import jakarta.mail.internet.MimeMultipart;
import jakarta.mail.util.ByteArrayDataSource;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;

public class Send {
    static final String[] MECHANISMS = {"PLAIN", "LOGIN", null};
    static final String[] KINDS = {"text", "html", "attachment", "eight-bit", "utf8", "smtputf8"};
    static final boolean TRUSTED = System.getenv("TRUST").equals("yes");

    public static void main(String[] arguments) throws Exception {
        for (String door : new String[] {"starttls", "tls"}) {
            if (!TRUSTED) {
                distrust(door);
                continue;
            }
            for (int at = 0; at < KINDS.length; at++) {
                send(door, KINDS[at], MECHANISMS[at % 3]);
            }
        }
    }

    static Session session(String door, String kind, String mechanism) throws Exception {
        String server = "mail.smtp.";
        Properties settings = new Properties();
        // The name is found in the file of -Djdk.net.hosts.file.
        settings.put(server + "host", System.getenv("NAME"));
        settings.put(server + "port", System.getenv(door.toUpperCase()));
        settings.put(server + "auth", "true");
        settings.put(server + "ssl.checkserveridentity", "true");
        settings.put(server + (door.equals("tls") ? "ssl.enable" : "starttls.required"), "true");
        settings.put(server + "starttls.enable", "true");
        settings.put(server + "allow8bitmime", "true");
        settings.put(server + "timeout", "20000");
        settings.put("mail.mime.allowutf8", String.valueOf(kind.equals("smtputf8")));
        if (mechanism != null) {
            settings.put(server + "auth.mechanisms", mechanism);
        }
        if (TRUSTED) {
            settings.put(server + "ssl.socketFactory", trusting());
        }
        return Session.getInstance(settings);
    }

    static SSLSocketFactory trusting() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (InputStream pem = new FileInputStream(System.getenv("CA"))) {
            store.setCertificateEntry("sealpost", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context.getSocketFactory();
    }

    static MimeMessage compose(Session session, String kind, String recipient) throws Exception {
        MimeMessage message = new MimeMessage(session);
        message.setFrom(new InternetAddress("ann@clinic.example", "Ann Lee"));
        message.setRecipient(Message.RecipientType.TO, new InternetAddress(recipient));
        message.setSubject(kind.contains("utf8") ? "Größe der Röntgenbilder" : "Results", "utf-8");
        switch (kind) {
            case "html" -> message.setContent("<p>R&eacute;sultats</p>\r\n", "text/html; charset=us-ascii");
            case "attachment" -> {
                MimeBodyPart text = new MimeBodyPart();
                text.setText("See the file\r\n");
                MimeBodyPart file = new MimeBodyPart();
                file.setDataHandler(new DataHandler(new ByteArrayDataSource(new byte[10240], "application/octet-stream")));
                file.setFileName("Ergebnis für Ann.bin");
                message.setContent(new MimeMultipart(text, file));
            }
            case "eight-bit" -> {
                message.setText("Résultats\r\n.\r\n..dots\r\n", "iso-8859-1");
                message.setHeader("Content-Transfer-Encoding", "8bit");
            }
            case "utf8", "smtputf8" -> message.setText("Größe: 結果 🩺\r\n", "utf-8");
            default -> message.setText("Results\r\n.\r\n..dots\r\n");
        }
        message.saveChanges();
        return message;
    }

    static void send(String door, String kind, String mechanism) throws Exception {
        String name = door + "-" + (kind.equals("smtputf8") ? "größe" : kind);
        Session session = session(door, kind, mechanism);
        MimeMessage message = compose(session, kind, name + "@lab.example");
        try (Transport transport = session.getTransport("smtp")) {
            transport.connect("ehr", System.getenv("PASSWORD"));
            transport.sendMessage(message, message.getAllRecipients());
        }
        // Written behind the sending, which may encode anew what the server takes in 8 bits.
        try (OutputStream sent = new FileOutputStream(System.getenv("SENT") + "/" + name + ".eml")) {
            message.writeTo(sent);
        }
    }

    static void distrust(String door) throws Exception {
        try (Transport transport = session(door, "text", null).getTransport("smtp")) {
            transport.connect("ehr", System.getenv("PASSWORD"));
        } catch (MessagingException error) {
            System.out.println(door + ": " + error + " " + error.getCause());
            return;
        }
        throw new IllegalStateException(door + ": a certificate was trusted that nobody vouches for");
    }
}
