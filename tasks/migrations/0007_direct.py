from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0006_webhooks'),
    ]

    operations = [
        migrations.AddField(
            model_name='upload',
            name='direct_id',
            field=models.TextField(blank=True, help_text="S3's id, where its parts are sent to S3 itself"),
        ),
    ]
